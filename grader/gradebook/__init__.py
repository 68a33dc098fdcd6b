"""Many submissions: finding them, grading them all, keeping the results, and handing them on."""
