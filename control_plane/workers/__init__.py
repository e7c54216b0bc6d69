"""The machines that work, as the database knows them: enrolled by the operator (`roster`), each with `slots` that
say what they can do and how well they are. The program that runs on such a machine is the agent; nothing here
calls it.
"""
