"""`textclf serve`: predictions over HTTP, and a page to try them. Never TensorFlow."""
