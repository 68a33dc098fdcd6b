"""What only the instructor's checkout can do: generate the template, the fixtures and the archives to hand out."""
