"""Reading: chunks of images, class-balanced samples, patches and the queues that feed the training."""
