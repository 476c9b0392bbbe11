"""Files: written all or nothing, read as text, sealed with a digest, and tensors in them."""
