"""The customer's command line: `tessera generate "a lighthouse" -o out.png`.

`arguments` says what can be ordered, `generating` orders, follows and downloads, `progress` puts a job into words and
bars. It knows the service only by its public API; nothing of the control plane is needed where it is installed.
"""
