"""Migrations, shipped with the package so that an installed komgick can migrate."""
