"""What a person sees of the head in the views and in one line, and does to it by hand."""
