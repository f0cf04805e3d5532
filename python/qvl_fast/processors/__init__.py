"""From images to the rows and grids that the models read."""
