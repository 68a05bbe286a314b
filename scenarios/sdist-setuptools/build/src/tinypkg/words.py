WORDS = {"one": 1, "two": 2}
