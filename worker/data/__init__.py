"""Image data: loading, preprocessing, augmentation and batches."""
