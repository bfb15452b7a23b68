"""The best sites, proven by HiGHS (inside scipy), or the best found in time with the gap that is left.

Never worse than the greedy choice, which is what stays when the time runs out. Residences that the same sites reach in the same
times are one, and of candidates that are alike the lowest number stays. Of several best choices it is the solver's,
the same on every run that is not cut short by time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csr_array

from gridsvc.circle.greedy_siting import (
    check_reached,
    choose,
    least_sites,
    missing_people,
    served_before,
    upper_bound,
)
from gridsvc.circle.site_bounds import price_sites
from gridsvc.circle.site_swaps import swap_sites
from gridsvc.circle.siting import (
    COVER,
    MEDIAN,
    SHARE,
    Benefits,
    Siting,
    SitingTask,
    checked_number,
    checked_out_of_reach,
    covering_benefits,
    saving_benefits,
)
from gridsvc.circle.walk_network import Floats, Ints
from gridsvc.errors import RequestInvalidError

TIME_LIMIT_S = 60.0
_WHOLE = 1e-6  # tolerance of the solver
_IMPOSSIBLE = 2  # what scipy says of a model that no choice fulfils


@dataclass(frozen=True, eq=False, slots=True)
class _Model:
    """A linear model: the first columns say which ``sites`` are open, the others who is served; ``weight`` is what that brings.

    ``rows @ x <= most`` holds of every choice; ``highest`` are the upper bounds of the columns, 0 the lower ones (of open sites
    that ``stand``: 1).
    """

    sites: Ints
    weight: Floats
    rows: csr_array
    most: Floats
    highest: Floats
    stand: Ints


def exact_covering(task: SitingTask, sites: int, *, time_limit_s: float = TIME_LIMIT_S, gap: float = 0.0) -> Siting:
    """Return so many sites that together cover the most people within the limit, or the best found with its gap.

    Parameters
    ----------
    time_limit_s
        Time for the solver. When it runs out, the best choice so far comes back, ``is_proven`` False, with the bound reached.
    gap
        Stop once the best choice can be better by this share at most.

    Raises
    ------
    RequestInvalidError
        When no site is asked for, there is no candidate, or the time or gap make no sense.
    """
    number = checked_number(task, sites)
    _check_limits(time_limit_s, gap)
    benefits = covering_benefits(task)
    before = served_before(benefits)
    chosen, gain = choose(benefits, number)
    bound = before + upper_bound(benefits, chosen, gain, number)
    found, most = _best(benefits, number, chosen, time_limit_s, gap)
    bound = min(bound, benefits.base + most)
    other, other_gain = choose(benefits, number, among=found)
    if other_gain.sum() > gain.sum():
        chosen, gain = other, other_gain
    after = before + float(gain.sum())
    bound = _rounded(bound, _is_whole(task.people) and (task.capacity is None or _is_whole(task.capacity)))
    return Siting(COVER, chosen, gain, before, after, after, max(after, bound), float(task.people.sum()))


def exact_share(task: SitingTask, share: float, *, time_limit_s: float = TIME_LIMIT_S) -> Siting:
    """Return the fewest sites that cover a share of all people within the limit; ``bound`` is the least number proven.

    Raises
    ------
    RequestInvalidError
        When the share is not above 0 and up to 1, or the time makes no sense.
    ConflictError
        When all candidates together do not cover that share.
    """
    _check_limits(time_limit_s, 0.0)
    benefits = covering_benefits(task)
    before, needed = missing_people(task, benefits, share)
    chosen, gain = choose(benefits, len(benefits), needed=needed)
    check_reached(task, before, needed, gain)
    bound = least_sites(benefits, chosen, gain, needed)
    while bound < len(chosen):
        if task.capacity is None:
            found, fewest = _with_one_less(benefits, chosen, needed, time_limit_s)
        else:
            found, fewest = _fewest(benefits, needed + before - benefits.base, time_limit_s)
        bound = max(bound, fewest)
        other, other_gain = choose(benefits, len(benefits), needed=needed, among=found)
        if len(other) >= len(chosen) or other_gain.sum() < needed:
            break
        chosen, gain = other, other_gain
    return Siting(
        aim=SHARE,
        sites=chosen,
        gain=gain,
        before=before,
        after=before + float(gain.sum()),
        value=float(len(chosen)),
        bound=float(min(bound, len(chosen))),
        people=float(task.people.sum()),
    )


def exact_median(
    task: SitingTask,
    sites: int,
    *,
    out_of_reach_s: float | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    gap: float = 0.0,
) -> Siting:
    """Return so many sites after which people walk the least to them, or the best found with its gap.

    As :func:`~gridsvc.circle.greedy_siting.greedy_median`, also with capacities: people then go where the sum is least, not
    each to the nearest site.

    Parameters
    ----------
    time_limit_s, gap
        As :func:`exact_covering`.
    """
    number = checked_number(task, sites)
    out_s = checked_out_of_reach(task, out_of_reach_s)
    _check_limits(time_limit_s, gap)
    benefits = saving_benefits(task, out_s)
    plain = replace(benefits, capacity=None)
    chosen, gain = choose(plain, number)
    before = float(task.people.sum()) * out_s - benefits.base
    least = before - _all_saved(benefits)
    if task.capacity is None:
        least = before - upper_bound(benefits, chosen, gain, number)
    else:
        standing_s = _saved(benefits, benefits.standing)
        before -= standing_s
        chosen, gain = _in_order(benefits, chosen)
    found, most = _best(benefits, number, chosen, time_limit_s, gap)
    least = max(least, float(task.people.sum()) * out_s - benefits.base - most)
    other, other_gain = choose(benefits, number, among=found) if task.capacity is None else _in_order(benefits, found)
    if other_gain.sum() > gain.sum():
        chosen, gain = other, other_gain
    after = before - float(gain.sum())
    return Siting(MEDIAN, chosen, gain, before, after, after, min(after, least), float(task.people.sum()))


def _check_limits(time_limit_s: float, gap: float) -> None:
    if not time_limit_s > 0:
        raise RequestInvalidError(f"A time limit of {time_limit_s} s leaves no time.", hint="Give seconds above 0.")
    if not 0 <= gap < 1:
        raise RequestInvalidError(f"A gap of {gap} is no share.", hint="Give it from 0 to below 1.")


def _is_whole(values: Floats) -> bool:
    return bool((values == np.floor(values)).all())


def _rounded(bound: float, is_whole: bool) -> float:
    """Return a bound from above, as the next lower whole number where values are whole."""
    return float(np.floor(bound + _WHOLE * max(1.0, abs(bound) * _WHOLE))) if is_whole else bound


def _best(
    benefits: Benefits, sites: int, chosen: Ints, time_limit_s: float, gap: float, beat: float = 0.0
) -> tuple[Ints, float]:
    """Return the best sites found, standing ones left out, and what no choice brings more of (standing sites brought in).

    Choices that bring no more than ``beat`` do not matter: neither need be found.
    """
    if not len(benefits.residence):
        return chosen, 0.0
    if benefits.capacity is not None:
        found, most = _most_benefit(benefits, sites, time_limit_s, gap)
        return chosen if found is None else found, most
    merged = _without_twins(benefits)
    brings = merged.people[merged.residence] * merged.benefit
    is_whole = _is_whole(brings)
    chosen, _ = swap_sites(merged.first, merged.residence, brings, len(merged.people), chosen)
    priced = price_sites(merged.first, merged.residence, brings, len(merged.people), sites, chosen, beat, is_whole)
    known = max(priced.value, beat)
    if priced.bound - known <= max(gap * priced.bound, 0.999 if is_whole else 0.0):
        return priced.sites, _rounded(max(known, priced.bound), is_whole)
    must = np.flatnonzero(priced.must & priced.may)
    rest = _given(_with_entries(merged, priced.may[merged.site], merged.people), must)
    sure = _all_saved(_with_entries(merged, np.isin(merged.site, must), merged.people))
    if not len(rest.residence) or len(must) >= sites:
        return (must, sure) if sure > known else (priced.sites, known)
    # that a choice must be better than what is known spares the solver half of its time; not with many ranks, where it doubles it
    is_covering = bool((rest.benefit == rest.benefit[0]).all())
    above = known - sure + 0.5 if is_whole and is_covering else 0.0
    found, most = _most_benefit(rest, sites - len(must), time_limit_s, gap, above)
    # choices left out bring no more than what is known
    bound = _rounded(max(known, min(priced.bound, sure + most)), is_whole)
    if found is not None:
        together = np.concatenate((must, found))
        if _all_saved(_with_entries(merged, np.isin(merged.site, together), merged.people)) > priced.value:
            return together, bound
    return priced.sites, bound


def _given(benefits: Benefits, sites: Ints) -> Benefits:
    """Return the benefits above what some sites bring, without those sites."""
    taken = np.isin(benefits.site, sites)
    there = np.zeros(len(benefits.people))
    np.maximum.at(there, benefits.residence[taken], benefits.benefit[taken])
    more = benefits.benefit - there[benefits.residence]
    return _with_entries(replace(benefits, benefit=more), ~taken & (more > 0), benefits.people)


def _with_one_less(benefits: Benefits, chosen: Ints, needed: float, time_limit_s: float) -> tuple[Ints, int]:
    """Return a choice of one site less that brings what is needed (if none was found, one that does not), and the least number proven."""
    is_whole = _is_whole(benefits.people)
    beat = float(np.ceil(needed)) - 1.0 if is_whole else needed * (1.0 - 1e-6)
    found, most = _best(benefits, len(chosen) - 1, chosen[:-1], time_limit_s, 0.0, beat)
    return found, len(chosen) if most < (beat + 1.0 - _WHOLE if is_whole else needed) else 0


def _fewest(benefits: Benefits, wanted: float, time_limit_s: float) -> tuple[Ints, int]:
    """Return the fewest sites with capacities that serve so many people (none if not found in time), and the least number proven."""
    model = _model(benefits)
    cost = np.zeros(len(model.weight))
    cost[: len(model.sites)] = 1.0
    cost[model.stand] = 0.0
    served = LinearConstraint(csr_array(model.weight[np.newaxis, :]), wanted, np.inf)
    found, bound = _solved(model, cost, [served], time_limit_s, 0.0)
    return np.empty(0, dtype=np.int64) if found is None else found, int(np.ceil(max(bound, 0.0) - _WHOLE))


def _most_benefit(
    benefits: Benefits, sites: int, time_limit_s: float, gap: float, above: float = 0.0
) -> tuple[Ints | None, float]:
    """Return the sites that the solver finds best, standing ones left out, and the bound of any choice.

    Only choices that bring ``above`` count: no sites when there are none, or none were found in time.
    """
    model = _model(benefits)
    number = np.zeros(len(model.weight))
    number[: len(model.sites)] = 1.0
    number[model.stand] = 0.0
    few = LinearConstraint(csr_array(number[np.newaxis, :]), -np.inf, sites)
    enough = LinearConstraint(csr_array(model.weight[np.newaxis, :]), above, np.inf)
    found, bound = _solved(model, -model.weight, [few, enough] if above > 0 else [few], time_limit_s, gap)
    return found, -bound


def _solved(
    model: _Model, cost: Floats, more: list[LinearConstraint], time_limit_s: float, gap: float
) -> tuple[Ints | None, float]:
    """Return the sites that the solver opens at least cost, standing ones left out, and the bound of that cost; infinite without a choice."""
    open_ = np.zeros(len(model.weight))
    open_[: len(model.sites)] = 1.0
    lowest = np.zeros(len(model.weight))
    lowest[model.stand] = 1.0
    solved = milp(
        cost,
        integrality=open_,
        bounds=Bounds(lowest, model.highest),
        constraints=[LinearConstraint(model.rows, -np.inf, model.most), *more],
        options={"time_limit": time_limit_s, "mip_rel_gap": gap},
    )
    if solved.status == _IMPOSSIBLE:
        return None, np.inf
    bound = -np.inf if solved.mip_dual_bound is None else float(solved.mip_dual_bound)
    if solved.x is None:
        return None, bound
    picked = solved.x[: len(model.sites)] > 0.5
    picked[model.stand] = False
    return model.sites[picked], bound


def _model(benefits: Benefits) -> _Model:
    return _ranked_model(benefits) if benefits.capacity is None else _shared_model(benefits)


def _ranked_model(benefits: Benefits) -> _Model:
    """Return the model without capacities: a residence is served at a rank when a site of this or a better rank is open.

    Ranks are the different benefits of a residence, the best first: z_r <= z_(r-1) + sites of rank r; each rank brings what it
    is better by than the next. This bound is as tight as one variable per site and residence, with fewer of them (Cornuejols,
    Nemhauser, Wolsey 1980; García, Labbé, Marín 2011).
    """
    merged = _without_twins(benefits)
    site, order = merged.site, np.lexsort((merged.site, -merged.benefit, merged.residence))
    site, residence, benefit = site[order], merged.residence[order], merged.benefit[order]
    new_home = np.append(True, residence[1:] != residence[:-1])
    new_rank = new_home | np.append(True, benefit[1:] != benefit[:-1])
    rank = np.cumsum(new_rank) - 1
    starts = np.flatnonzero(new_rank)
    is_first = new_home[starts]
    following = np.append(benefit[starts][1:], 0.0)
    following[np.append(is_first[1:], True)] = 0.0
    weight = merged.people[residence[starts]] * (benefit[starts] - following)
    used, column = np.unique(site, return_inverse=True)
    ranks, later = len(starts), np.flatnonzero(~is_first)
    rows = np.concatenate((np.arange(ranks), later, rank))
    columns = np.concatenate((len(used) + np.arange(ranks), len(used) + later - 1, column))
    values = np.concatenate((np.ones(ranks), np.full(len(later) + len(rank), -1.0)))
    table = csr_array(coo_array((values, (rows, columns)), shape=(ranks, len(used) + ranks)))
    return _Model(
        sites=used,
        weight=np.concatenate((np.zeros(len(used)), weight)),
        rows=table,
        most=np.zeros(ranks),
        highest=np.ones(len(used) + ranks),
        stand=np.empty(0, dtype=np.int64),
    )


def _shared_model(benefits: Benefits) -> _Model:
    """Return the model with capacities: which share of a residence's people goes to which site."""
    assert benefits.capacity is not None
    merged = _merged_residences(benefits)
    used, column = np.unique(merged.site, return_inverse=True)
    entries, home = len(column), np.unique(merged.residence, return_inverse=True)[1]
    homes, people, room = int(home.max()) + 1, merged.people[merged.residence], benefits.capacity[used]
    share = len(used) + np.arange(entries)
    part = np.minimum(1.0, room[column] / people)
    # shares of a residence add up to one; people of a site fit in it; nobody goes to a site that is not open
    rows = np.concatenate(
        (home, homes + column, homes + np.arange(len(used)), *(homes + len(used) + np.arange(entries),) * 2)
    )
    columns = np.concatenate((share, share, np.arange(len(used)), share, column))
    values = np.concatenate((np.ones(entries), people, -room, np.ones(entries), -part))
    shape = (homes + len(used) + entries, len(used) + entries)
    return _Model(
        sites=used,
        weight=np.concatenate((np.zeros(len(used)), people * merged.benefit)),
        rows=csr_array(coo_array((values, (rows, columns)), shape=shape)),
        most=np.concatenate((np.ones(homes), np.zeros(len(used) + entries))),
        highest=np.concatenate((np.ones(len(used)), part)),
        stand=np.flatnonzero(np.isin(used, benefits.standing)),
    )


def _without_twins(benefits: Benefits) -> Benefits:
    """Return benefits with equal residences as one, and of equal sites only the lowest number."""
    merged = _merged_residences(benefits)
    first_of: dict[tuple[bytes, bytes], int] = {}
    kept = np.zeros(len(merged), dtype=bool)
    for site in range(len(merged)):
        own = slice(merged.first[site], merged.first[site + 1])
        key = (merged.residence[own].tobytes(), merged.benefit[own].tobytes())
        kept[site] = first_of.setdefault(key, site) == site
    return _with_entries(merged, kept[merged.site], merged.people)


def _merged_residences(benefits: Benefits) -> Benefits:
    """Return benefits in which residences that gain the same from the same sites are one, the first of them, with all people."""
    site, order = benefits.site, np.argsort(benefits.residence, kind="stable")
    starts = np.searchsorted(benefits.residence[order], np.arange(len(benefits.people) + 1))
    sites, gains = site[order], benefits.benefit[order]
    first_of: dict[tuple[bytes, bytes], int] = {}
    same_as = np.arange(len(benefits.people))
    for home in np.flatnonzero(np.diff(starts)).tolist():
        own = slice(starts[home], starts[home + 1])
        same_as[home] = first_of.setdefault((sites[own].tobytes(), gains[own].tobytes()), home)
    people = np.bincount(same_as, weights=benefits.people, minlength=len(same_as)).astype(np.float64)
    return _with_entries(benefits, same_as[benefits.residence] == benefits.residence, people)


def _with_entries(benefits: Benefits, keep: NDArray[Any], people: Floats) -> Benefits:
    first = np.zeros(len(benefits) + 1, dtype=np.int64)
    np.cumsum(np.bincount(benefits.site[keep], minlength=len(benefits)), out=first[1:])
    return replace(
        benefits, first=first, residence=benefits.residence[keep], benefit=benefits.benefit[keep], people=people
    )


def _all_saved(benefits: Benefits) -> float:
    """Return what would be gained if everybody had the site that serves best."""
    best = np.zeros(len(benefits.people))
    np.maximum.at(best, benefits.residence, benefits.benefit)
    return float(best @ benefits.people)


def _saved(benefits: Benefits, sites: Ints) -> float:
    """Return the most that some sites with capacities bring together, each person going where the sum is best."""
    own = _with_entries(benefits, np.isin(benefits.site, sites), benefits.people)
    if not len(own.residence):
        return 0.0
    model = _shared_model(own)
    lowest = np.zeros(len(model.weight))
    lowest[: len(model.sites)] = 1.0
    solved = linprog(
        -model.weight,
        A_ub=model.rows,
        b_ub=model.most,
        bounds=np.column_stack((lowest, model.highest)),
        method="highs",
    )
    return float(-solved.fun)


def _in_order(benefits: Benefits, sites: Ints) -> tuple[Ints, Floats]:
    """Return sites with capacities in the order in which they help most, and what each brings after those before it."""
    taken, left, gain = list(benefits.standing.tolist()), sorted(sites.tolist()), []
    so_far, order = _saved(benefits, benefits.standing), []
    while left:
        saved = [_saved(benefits, np.array([*taken, site])) for site in left]
        best = int(np.argmax(saved))
        if saved[best] - so_far <= _WHOLE * max(1.0, so_far):
            break
        gain.append(saved[best] - so_far)
        so_far = saved[best]
        order.append(left[best])
        taken.append(left.pop(best))
    return np.array(order, dtype=np.int64), np.array(gain, dtype=np.float64)
