"""The HTML report: takes numbers and sentences, returns a page."""
