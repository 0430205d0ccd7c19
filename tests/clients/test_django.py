#!/usr/bin/env python3
"""Django: migrations of an application, the ORM's queries, constraints, transactions and inspectdb."""

import datetime
import decimal
import io
import unittest
import uuid

import target

target.with_tests_python("django")

# pylint: disable=wrong-import-position,import-outside-toplevel

import django
import django.conf

def configure():
    server = target.server
    django.conf.settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "django_tests", "USER": server.user,
                               "PASSWORD": server.password, "HOST": server.host, "PORT": str(server.port)}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "library"], USE_TZ=True, TIME_ZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", SECRET_KEY="tests")
    django.setup()
    import library.models
    return library.models


models = None


def setUpModule():
    global models
    target.fresh_database("django_tests")
    models = configure()
    from django.core.management import call_command
    from django.db import connection
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in (models.Author, models.Tag, models.Book):
            editor.create_model(model)


def tearDownModule():
    from django.db import connections
    connections.close_all()


class Orm(unittest.TestCase):
    def setUp(self):
        for model in (models.Book, models.Author, models.Tag):
            model.objects.all().delete()
        self.ada = models.Author.objects.create(name="Ada", born=datetime.date(1815, 12, 10), key=uuid.UUID(int=7))
        self.tag = models.Tag.objects.create(word="math")
        self.book = models.Book.objects.create(
            title="Notes", author=self.ada, price=decimal.Decimal("12.50"), pages=66, data={"a": [1, None], "b": "x"},
            published=datetime.datetime(1843, 9, 1, tzinfo=datetime.timezone.utc), length=datetime.timedelta(hours=5),
            cover=b"\x00\xff", rating=4.5)
        self.book.tags.add(self.tag)

    def test_values_come_back(self):
        book = models.Book.objects.get(pk=self.book.pk)
        for field in ("title", "price", "pages", "data", "published", "length", "rating", "kept"):
            self.assertEqual(getattr(book, field), getattr(self.book, field), field)
        self.assertEqual(bytes(book.cover), b"\x00\xff")
        self.assertEqual(book.author.key, uuid.UUID(int=7))

    def test_filters_and_lookups(self):
        books = models.Book.objects
        for lookup in ({"title__icontains": "OTE"}, {"title__startswith": "No"}, {"title__regex": "^N.t"},
                       {"price__range": (1, 20)}, {"author__name__in": ["Ada", "Bob"]}, {"published__year": 1843},
                       {"published__date": datetime.date(1843, 9, 1)}, {"data__b": "x"}, {"data__a__0": 1},
                       {"data__contains": {"b": "x"}}, {"data__has_key": "a"}, {"tags__word": "math"},
                       {"author__born__lt": datetime.date(1900, 1, 1)}, {"title__iexact": "notes"}):
            self.assertEqual(books.filter(**lookup).count(), 1, lookup)

    def test_aggregates_and_annotations(self):
        from django.db.models import Avg, Count, F, Max, OuterRef, Q, Subquery, Sum, Value, Window
        from django.db.models.functions import Coalesce, Concat, Lower, Rank, TruncMonth
        for n in range(5):
            models.Book.objects.create(title=f"Book {n}", author=self.ada, price=n, pages=10 * n)
        totals = models.Book.objects.aggregate(n=Count("id"), s=Sum("pages"), a=Avg("price"), m=Max("title"))
        self.assertEqual((totals["n"], totals["s"], totals["m"]), (6, 166, "Notes"))
        author = models.Author.objects.annotate(n=Count("books", filter=Q(books__pages__gt=10))).get()
        self.assertEqual(author.n, 4)
        rows = models.Book.objects.annotate(r=Window(Rank(), order_by=F("price").desc())).order_by("r")
        self.assertEqual(rows[0].title, "Notes")
        newest = models.Book.objects.filter(author=OuterRef("pk")).order_by("-price").values("title")[:1]
        self.assertEqual(models.Author.objects.annotate(t=Subquery(newest)).get().t, "Notes")
        self.assertEqual(models.Book.objects.annotate(x=Concat(Lower("title"), Value("!"))).order_by("x")[0].x, "book 0!")
        self.assertEqual(models.Book.objects.annotate(m=TruncMonth("published")).exclude(m=None).count(), 1)
        self.assertEqual(models.Book.objects.aggregate(s=Coalesce(Sum("pages", filter=Q(pages__gt=999)), 0))["s"], 0)

    def test_bulk_and_upserts(self):
        authors = models.Author.objects.bulk_create([models.Author(name=f"n{n}") for n in range(200)])
        self.assertTrue(all(author.pk for author in authors))
        models.Author.objects.bulk_create([models.Author(name="n1", born=datetime.date(2000, 1, 1))],
                                          update_conflicts=True, unique_fields=["name"], update_fields=["born"])
        self.assertEqual(models.Author.objects.get(name="n1").born, datetime.date(2000, 1, 1))
        for author in authors:
            author.born = datetime.date(1999, 1, 1)
        models.Author.objects.bulk_update(authors, ["born"], batch_size=50)
        self.assertEqual(models.Author.objects.filter(born__year=1999).count(), 200)
        self.assertEqual(models.Author.objects.update_or_create(name="n2", defaults={"born": None})[1], False)

    def test_constraints(self):
        from django.db import IntegrityError, transaction
        for wrong in (lambda: models.Author.objects.create(name="Ada"),
                      lambda: models.Book.objects.create(title="x", author=self.ada, price=-1)):
            with self.assertRaises(IntegrityError), transaction.atomic():
                wrong()
        with self.assertRaises(IntegrityError):
            with transaction.atomic():
                models.Book.objects.create(title="x", author_id=10**6)  # checked at the end: keys are deferred

    def test_transactions_and_locks(self):
        from django.db import transaction
        try:
            with transaction.atomic():
                models.Author.objects.create(name="gone")
                with transaction.atomic():
                    models.Author.objects.create(name="inner")
                raise RuntimeError
        except RuntimeError:
            pass
        self.assertEqual(models.Author.objects.count(), 1)
        with transaction.atomic():
            self.assertEqual(models.Author.objects.select_for_update().get(name="Ada"), self.ada)

    def test_iterator_prefetch_and_unions(self):
        models.Author.objects.bulk_create([models.Author(name=f"i{n}") for n in range(300)])
        self.assertEqual(sum(1 for _ in models.Author.objects.iterator(chunk_size=100)), 301)
        books = models.Book.objects.select_related("author").prefetch_related("tags")
        self.assertEqual([tag.word for tag in books[0].tags.all()], ["math"])
        both = models.Author.objects.filter(name="i1").union(models.Author.objects.filter(name="i2")).order_by("name")
        self.assertEqual([author.name for author in both], ["i1", "i2"])
        self.assertEqual(len(models.Author.objects.explain()), len(models.Author.objects.explain()))

    def test_changes_of_the_schema(self):
        from django.db import connection, models as fields
        added = fields.CharField(max_length=20, default="new", db_index=True)
        added.set_attributes_from_name("added")
        with connection.schema_editor() as editor:
            editor.add_field(models.Author, added)
            longer = fields.CharField(max_length=80, null=True)
            longer.set_attributes_from_name("added")
            longer.model = models.Author
            added.model = models.Author
            editor.alter_field(models.Author, added, longer)
        with connection.cursor() as cursor:
            cursor.execute("SELECT added FROM library_author")
            self.assertEqual(cursor.fetchone(), ("new",))
        with connection.schema_editor() as editor:
            editor.remove_field(models.Author, longer)

    def test_introspection(self):
        from django.core.management import call_command
        from django.db import connection
        with connection.cursor() as cursor:
            names = [table.name for table in connection.introspection.get_table_list(cursor)]
            self.assertIn("library_book", names)
            constraints = connection.introspection.get_constraints(cursor, "library_book")
            self.assertTrue(constraints["price_not_negative"]["check"])
            self.assertEqual(constraints["by_price"]["columns"], ["price", "pages"])
            self.assertEqual(constraints["by_price"]["orders"], ["ASC", "DESC"])
            self.assertIn(("author_id", "library_author"), [(c["columns"][0], c["foreign_key"][0])
                                                             for c in constraints.values() if c["foreign_key"]])
            self.assertEqual(connection.introspection.get_primary_key_column(cursor, "library_tag"), "word")
            sequences = connection.introspection.get_sequences(cursor, "library_book")
            self.assertEqual(sequences[0]["column"], "id")
        out = io.StringIO()
        call_command("inspectdb", "library_book", stdout=out)
        self.assertIn("price = models.DecimalField(max_digits=8, decimal_places=2)", out.getvalue())


if __name__ == "__main__":
    target.main()
