"""The breathing thorax the project makes for itself: images, masks, true deformations and landmarks."""
