"""Evidence about a photograph from small frozen parts: class names, colours, boxes and read text."""
