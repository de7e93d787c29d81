"""Warm runs: a process that has imported the handler's module once forks a fresh one for each call.

    pool             what a Kedge process holds: which environments are kept warm, and a call through one
    keeper           the program that it starts for that: trusted, outside, owner of boxes and slots
    asking           how a pool starts that, and asks it
    wanted           which box a call wants: its key, and all that goes into one
    states           what that knows of a box and of a slot
    box              the namespaces in which one zygote lives
    slot             the namespaces of one call at a time, with its folders
    zygote           the program inside, which has imported the module and forks
    looks            what the keeper sees of a zygote and of a fork, whatever they say
    forked           a call as the executors' `watch` sees it
    kept_containers  containers that serve several calls, as the keeper has them
    executed         a call in one of these as `watch` sees it
    trial            whether runs can be warm on this machine
    kernel, mounting, messages, places, remembered   what these are made of

Nothing here is imported by a run that is not warm.
"""
