"""Warm runs: a process that has imported the handler's module once forks a fresh one for each call.

    pool     what a Kedge process holds: which environments are kept warm, and a call through one
    keeper   the program that it starts for that: trusted, outside, owner of boxes and slots
    box      the namespaces in which one zygote lives
    slot     the namespaces of one call at a time, with its folders
    zygote   the program inside, which has imported the module and forks
    forked   a call as the executors' `watch` sees it
    kernel, mounting, messages   what these are made of

Nothing here is imported by a run that is not warm.
"""
