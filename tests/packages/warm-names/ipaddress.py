WHOSE = "the package"
