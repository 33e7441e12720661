"""The HTTP ground under all doors: what a connection, a header or an address may be. It knows no business."""
