"""The tests, in the tree of what they test; contracts/ holds what every environment promises."""
