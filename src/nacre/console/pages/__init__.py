"""The pages, a file for each subject. Internal. Tests: tests/console/pages."""
