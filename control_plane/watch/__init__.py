"""The watch: looks whether all is well, and tells the operator when it is not.

    facts ─► troubles ─► decision ─► incidents ─► one message at each address of TESSERA_NOTIFY

Every process runs it, and whoever moves the time in `watches` has the turn, so each thing is told once. What is found
is turned into troubles and these into changes of incidents by pure functions; the table is the truth, and what a
channel has not heard yet is told at the next look. A process that dies between sending and writing that down may tell
something twice. When the database is gone nobody can look: then the dead-man address is not pinged any more, and
whoever waits there raises alarm.
"""
