import a_distribution_that_is_not_there


def anything() -> None:
    a_distribution_that_is_not_there.use()
