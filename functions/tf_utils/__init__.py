"""The one room that imports TensorFlow: layers, losses, summaries, sessions."""
