"""The production database of shop.sql, from which the tests make their dumps."""

from pathlib import Path

TABLES = {"shop.customers": 307, "shop.orders_2026": 300, 'public."odd ""name"";"': 2}


def make(server):
    """Its name. What it holds is the same for every test of a worker."""
    server.sql(
        *(f"CREATE ROLE {role}" for role in ("shop_owner", "reader", '"odd ""role"""')),
        "CREATE DATABASE shop OWNER shop_owner",
    )
    server.run(
        "psql",
        "-Xq",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        str(Path(__file__).with_name("shop.sql")),
        database="shop",
    )
    return "shop"
