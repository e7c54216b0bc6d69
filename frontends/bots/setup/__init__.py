"""`tessera-bots setup`: from nothing to bots that run, one question at a time or all answers given as options.

    questions   where an answer comes from: an option, or a person on a terminal; asked again until it fits
    files       what is stored: lines of the configuration file, and secrets beside it that their user alone can read
    telegram    a bot on its platform: whether it is let in, who it is, what is to be changed there, its commands
    discord     likewise
    steps       the service first, then bot by bot

Nothing is stored before it was checked.
"""
