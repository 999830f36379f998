"""What `komgick shadow` says: models over the same accounts in rows, beside the one that is paid (DOMAIN.md 5 [S2])."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

from app.facts.prices import PriceList
from app.insight.numbers import decimal, half_up, ratio
from app.insight.shadow import (
    AccountMonth,
    Amount,
    Quantities,
    amount_of,
    amount_of_quantities,
    difference_percent,
    kept_share,
    neutral_uplift,
)
from app.insight.shadow_model import ShadowModel
from app.refusals import Invalid


def shadow_object(
    models: Sequence[ShadowModel],
    accounts: Sequence[AccountMonth],
    prices: PriceList,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What `komgick shadow` prints: totals, then rows per month, week, provider (with its name) and client.

    Every amount shown is an exact sum rounded to öre once, so a column need not add up to its total to the öre.
    """
    base = _base(models)
    amounts = {
        (model.name, index): amount_of(model, account, prices)
        for model in models
        for index, account in enumerate(accounts)
    }
    months = sorted({account.month for account in accounts})

    def rows(key: Callable[[AccountMonth], tuple[str, ...]], names: tuple[str, ...]) -> list[dict[str, Any]]:
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, account in enumerate(accounts):
            groups[key(account)].append(index)
        return [
            {**dict(zip(names, group, strict=True)), **_row(models, base, _sums(models, amounts, members))}
            | _volume([accounts[index].whole for index in members])
            for group, members in sorted(groups.items())
        ]

    return {
        "months": months,
        "paid_model": base.name,
        "models": _model_rows(models, base, _sums(models, amounts, range(len(accounts)))),
        "per_month": rows(lambda account: (account.month,), ("month",)),
        "per_week": _week_rows(models, base, accounts, prices),
        "per_provider": [
            {"name": (names or {}).get(row["provider_id"], row["provider_id"]), **row}
            for row in rows(lambda account: (account.provider_id, account.month), ("provider_id", "month"))
        ],
        "per_client": rows(
            lambda account: (account.client_id, account.provider_id, account.month),
            ("client_id", "provider_id", "month"),
        ),
    }


def _base(models: Sequence[ShadowModel]) -> ShadowModel:
    paid = [model for model in models if model.paid]
    if not models or len(paid) > 1 or len({model.name for model in models}) < len(models):
        raise Invalid("give one or more models with different names, at most one of them paid")
    return paid[0] if paid else models[0]


def _sums(
    models: Sequence[ShadowModel], amounts: Mapping[tuple[str, int], Amount], members: Iterable[int]
) -> dict[str, Amount]:
    indices = list(members)
    return {model.name: Amount.total([amounts[model.name, index] for index in indices]) for model in models}


def _row(models: Sequence[ShadowModel], base: ShadowModel, sums: Mapping[str, Amount]) -> dict[str, Any]:
    paid = half_up(sums[base.name].ore)
    return {
        "amounts_ore": {model.name: half_up(sums[model.name].ore) for model in models},
        "difference_ore": {m.name: half_up(sums[m.name].ore) - paid for m in models if m is not base},
        "difference_percent": {
            m.name: decimal(difference_percent(sums[base.name].ore, sums[m.name].ore)) for m in models if m is not base
        },
        "fee_minutes": {model.name: half_up(sums[model.name].fee_minutes) for model in models},
    }


def _volume(parts: Sequence[Quantities]) -> dict[str, Any]:
    if len(parts) == 1:
        total = parts[0]
    else:
        total = Quantities()
        for part in parts:
            total.add(part)
    return {
        "executed_minutes": total.executed,
        "visits": total.visit_count,
        "visits_per_client_day": decimal(ratio(total.visit_count, total.client_days)),
        "mean_visit_minutes": decimal(ratio(total.executed, total.visit_count)),
    }


def _model_rows(models: Sequence[ShadowModel], base: ShadowModel, sums: Mapping[str, Amount]) -> list[dict[str, Any]]:
    paid = sums[base.name]
    rows = []
    for model in models:
        own = sums[model.name]
        plain = own.ore - own.time_ore * (model.time.uplift if model.time else 0)
        uplift = neutral_uplift(paid.ore, plain, own.time_ore)
        rows.append(
            {
                "model": model.name, "title_sv": model.title_sv, "source": model.source, "paid": model is base,
                "amount_ore": half_up(own.ore), "difference_ore": half_up(own.ore) - half_up(paid.ore),
                "difference_percent": decimal(difference_percent(paid.ore, own.ore)),
                "neutral_uplift_percent": None if model is base else decimal(uplift),
                "fee_minutes": half_up(own.fee_minutes),
            }
        )  # fmt: skip
    return rows


def _week_rows(
    models: Sequence[ShadowModel], base: ShadowModel, accounts: Sequence[AccountMonth], prices: PriceList
) -> list[dict[str, Any]]:
    """Per week. What no cap cuts is summed before it is priced: amounts are linear, and a city has 110,000 parts."""
    sums: dict[str, dict[str, list[Amount]]] = defaultdict(lambda: {model.name: [] for model in models})
    for model in models:
        whole: dict[tuple[str, str, date], Quantities] = defaultdict(Quantities)
        for account in accounts:
            kept = kept_share(model, account)
            for week, part in account.weeks.items():
                if kept == 1:
                    whole[week, account.operation, account.price_on].add(part)
                else:
                    sums[week][model.name].append(amount_of(model, account, prices, part))
        for (week, operation, on), quantities in whole.items():
            amount = amount_of_quantities(model, (operation, on, prices), quantities, Fraction(1))
            sums[week][model.name].append(amount)
    parts: dict[str, Quantities] = defaultdict(Quantities)
    for account in accounts:
        for week, part in account.weeks.items():
            parts[week].add(part)
    return [
        {
            "week": week,
            **_row(models, base, {name: Amount.total(amounts) for name, amounts in sums[week].items()}),
            **_volume([parts[week]]),
        }
        for week in sorted(parts)
    ]
