"""Books with fields of many types, keys, indexes and constraints."""

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)
    born = models.DateField(null=True)
    key = models.UUIDField(null=True)


class Book(models.Model):
    title = models.CharField(max_length=100, db_index=True)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    pages = models.PositiveIntegerField(default=0)
    published = models.DateTimeField(null=True)
    length = models.DurationField(null=True)
    data = models.JSONField(default=dict)
    cover = models.BinaryField(default=b"")
    rating = models.FloatField(null=True)
    kept = models.BooleanField(default=True)
    tags = models.ManyToManyField("Tag")

    class Meta:
        unique_together = [("title", "author")]
        indexes = [models.Index(fields=["price", "-pages"], name="by_price")]
        constraints = [models.CheckConstraint(condition=models.Q(price__gte=0), name="price_not_negative")]


class Tag(models.Model):
    word = models.SlugField(primary_key=True)
