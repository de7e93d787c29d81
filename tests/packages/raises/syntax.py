def anything(:
    pass
