"""What people read: figures, and the code that draws them."""
