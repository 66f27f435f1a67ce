"""What a person sees: pictures, curves and lines of text."""
