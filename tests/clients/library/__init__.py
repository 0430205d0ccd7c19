"""The application of test_django.py."""
