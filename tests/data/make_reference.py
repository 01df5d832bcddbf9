# ruff: noqa
# mypy: ignore-errors
"""Makes the golden data in this folder by RUNNING released packages.

    pip install -r requirements.txt        (norse part; CPU torch is enough)
    python make_reference.py norse
    python make_reference.py jaxsnn        (needs jaxsnn, may live in another venv)

Nothing here re-implements a model: every array is what the package returned.
Array keys are '<case>/<name>', and every file has a 'meta' key (a JSON string).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


# ---------------------------------------------------------------- writing
class File:
    def __init__(self, name, out, note=""):
        self.name, self.out = name, Path(out)
        self.arrays, self.meta = {}, {"file": name, "note": note, "cases": {}}

    def put(self, case, **arrays):
        for k, v in arrays.items():
            v = np.asarray(v)
            if v.dtype == bool:
                v = v.astype(np.uint8)
            self.arrays[f"{case}/{k}"] = v

    def describe(self, case, **info):
        self.meta["cases"].setdefault(case, {}).update(info)

    def save(self, versions):
        self.meta["versions"] = versions
        self.out.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            self.out / f"{self.name}.npz",
            meta=np.array(json.dumps(self.meta, sort_keys=True)),
            **self.arrays,
        )
        size = (self.out / f"{self.name}.npz").stat().st_size
        print(f"{self.name}.npz {size / 1024:.0f} KiB")
        for c, i in self.meta["cases"].items():
            if "rate" in i:
                flag = "" if 0.004 < i["rate"] < 0.7 else "   <-- look"
                print(
                    f"    {c:34s} rate {i['rate']:.3f}"
                    f" stable {i.get('spikes_stable_under_1e-12_input_change')}"
                    f" f32!=f64 {i.get('spikes_differing_from_f64')}{flag}"
                )


def shortest(x):
    """The decimal a float32 default was written as (0.00125, not 0.00124999997)."""
    a = np.asarray(x)
    if a.dtype == np.float32:
        return np.vectorize(lambda y: float(str(np.float32(y))), otypes=[float])(a)
    return np.asarray(a, dtype=np.float64)


# ---------------------------------------------------------------- inputs
def current_input(rng, T, N, p=0.3, lo=0.0, hi=3.0, neg=0.1, bias=0.0, q=64):
    """Sparse input currents on a 1/q grid (exact in float32 and float64)."""
    hit = rng.random((T, N)) < p
    amp = rng.uniform(lo, hi, (T, N)) * np.where(rng.random((T, N)) < neg, -1.0, 1.0)
    drive = np.linspace(0.4, 1.4, N)[None, :]
    x = np.where(hit, amp * drive, 0.0) + bias
    return np.round(x * q) / q


def spike_input(rng, T, n, p=0.15):
    rate = rng.uniform(0.3, 1.7, n)[None, :] * p
    burst = np.sin(np.arange(T)[:, None] / 17.0 + rng.uniform(0, 6, n)[None, :]) > -0.2
    return (rng.random((T, n)) < rate * burst * 1.5).astype(np.float64)


def weights(rng, out, inp, scale, q=4096):
    return np.round(rng.normal(0, scale, (out, inp)) * q) / q


# ---------------------------------------------------------------- torch running
def tt(x, dtype):
    import torch

    return torch.tensor(np.asarray(x), dtype=dtype)


def is_nt(x):
    return isinstance(x, tuple) and hasattr(x, "_fields")


def flat(state, prefix=""):
    """NamedTuple state, nested ones too, to {'v': ..., 'i': ..., 'rho': ...}."""
    out = {}
    for k in state._fields:
        v = getattr(state, k)
        if is_nt(v):
            out.update(flat(v, prefix))
        else:
            if getattr(v, "is_sparse", False):
                v = v.to_dense()
            out[prefix + k] = v.detach().numpy().copy()
    return out


def flat_params(p):
    out = {}
    for k in p._fields:
        v = getattr(p, k)
        if is_nt(v):
            out.update(flat_params(v))
        elif isinstance(v, str) or callable(v):
            out[k] = v if isinstance(v, str) else v.__name__
        else:
            out[k] = np.asarray(v.detach().numpy() if hasattr(v, "detach") else v)
    return out


def params64(p, **over):
    """The same parameters in float64 (defaults as the decimals they were written as)."""
    import torch

    kw = {}
    for k in p._fields:
        v = getattr(p, k)
        if is_nt(v):
            mine = {a: over.pop(a) for a in list(over) if a in v._fields}
            kw[k] = params64(v, **mine)
        elif isinstance(v, str) or (callable(v) and not hasattr(v, "dtype")):
            kw[k] = over.pop(k, v)
        else:
            x = over.pop(k, None)
            if x is None:
                x = shortest(v.detach().numpy() if hasattr(v, "detach") else v)
            kw[k] = torch.tensor(np.asarray(x, dtype=np.float64))
    assert not over, over
    return type(p)(**kw)


def run(step, xs, state, p, dt, dtype, mid=()):
    """mid: extra positional arguments between state and parameters (weights)."""
    import torch

    rec, outs = {}, []
    args = [tt(m, dtype) for m in mid]
    with torch.no_grad():
        for x in tt(xs, dtype):
            out, state = step(x, state, *args, p, dt)
            if out.is_sparse:
                out = out.to_dense()
            outs.append(out.numpy().copy())
            for k, v in flat(state).items():
                rec.setdefault(k, []).append(v)
    return np.stack(outs), {k: np.stack(v) for k, v in rec.items()}


def binary(a):
    return bool(np.isin(a, (0, 1)).all())


def add(
    f,
    case,
    step,
    xs,
    make_state,
    p,
    dt,
    dtype="f64",
    mid=(),
    mid_names=(),
    call="",
    ref=None,
    every=1,
    store_input=True,
    check=True,
):
    """Runs one case, stores input, weights, initial state, parameters and outputs."""
    import torch

    td = torch.float64 if dtype == "f64" else torch.float32
    st = make_state(td)
    out, rec = run(step, xs, st, p, dt, td, mid)
    np_t = np.float64 if dtype == "f64" else np.float32
    arrays = {}
    if store_input:
        arrays["input"] = (
            xs.astype(np.uint8)
            if binary(xs)
            else xs.astype(np.float32)
            if np.array_equal(xs.astype(np.float32), xs)
            else xs
        )
        for n, m in zip(mid_names, mid):
            m = np.asarray(m, dtype=np.float64)
            arrays[n] = m.astype(np.float32) if np.array_equal(m.astype(np.float32), m) else m
    spiking = binary(out)
    arrays["z" if spiking else "out"] = out.astype(np.uint8) if spiking else out.astype(np_t)
    for k, v in rec.items():
        if k == "z" or (not spiking and k == "v"):
            continue
        arrays[k] = v[every - 1 :: every].astype(np_t)
    if every > 1:
        arrays["final_state_tick"] = np.array(len(xs))
        for k, v in rec.items():
            if k != "z":
                arrays[f"final_{k}"] = v[-1].astype(np_t)
    for k, v in flat(st).items():
        arrays[f"init_{k}"] = v.astype(np_t)
    info = {"call": call, "dt": dt, "dtype": dtype, "ticks": len(xs), "params": {}, "state_every_n_ticks": every}
    for k, v in flat_params(p).items():
        if isinstance(v, str):
            info["params"][k] = v
        else:
            arrays[f"p_{k}"] = np.asarray(v, dtype=np.float64)
            if v.ndim == 0:
                info["params"][k] = float(v)
    f.put(case, **arrays)
    if spiking:
        info["rate"] = float(out.mean())
        info["spikes"] = int(out.sum())
        if dtype == "f64" and check:
            eps = 1 + 1e-12
            if mid and binary(xs):
                o2, _ = run(step, xs, make_state(td), p, dt, td, [mid[0] * eps, *mid[1:]])
            else:
                o2, _ = run(step, xs * eps, make_state(td), p, dt, td, mid)
            info["spikes_stable_under_1e-12_input_change"] = bool(np.array_equal(o2, out))
        if ref is not None:
            info["spikes_differing_from_f64"] = int((ref != out).sum())
    f.describe(case, **info)
    return out, rec


# ---------------------------------------------------------------- the norse files
def ff_rec(f, name, P, ff, FS, rec, RS, opts):
    """The usual four: feed-forward default (f64, f32), custom, recurrent default (f64, f32), custom."""
    rng = np.random.default_rng(opts["seed"])
    T, N, n_in = opts["T"], opts["N"], opts.get("n_in", 12)
    custom = opts["custom"]
    dt = opts.get("dt", 0.001)
    every = opts.get("every", 1)
    cases = opts.get(
        "cases", ("default_f64", "default_f32", "custom_f64", "rec_default_f64", "rec_default_f32", "rec_custom_f64")
    )
    ref = {}
    rec_name = opts.get("rec_name", getattr(rec, "__name__", ""))
    if ff is not None:
        for c, prm in (("default", {}), ("custom", custom)):
            x = current_input(rng, T, N, **opts.get("ff_in", {}))
            x *= opts.get("ff_scale", {}).get(c, 1.0)
            if f"{c}_f64" in cases:
                p = params64(P(), **prm)
                ref[c], _ = add(
                    f,
                    f"{c}_f64",
                    ff,
                    x,
                    lambda td: FS(td, N, p),
                    p,
                    opts.get("dt_custom", dt) if c == "custom" else dt,
                    "f64",
                    call=f"{name}: {ff.__name__}(input[t], state, p, dt)",
                    every=every,
                )
            if f"{c}_f32" in cases:
                p32 = P()
                add(
                    f,
                    f"{c}_f32",
                    ff,
                    x,
                    lambda td: FS(td, N, p32),
                    p32,
                    dt,
                    "f32",
                    call=f"{name}: {ff.__name__}, package default parameter object",
                    ref=ref[c],
                    store_input=False,
                    every=every,
                )
    if rec is not None:
        for c, prm in (("default", {}), ("custom", custom)):
            x = spike_input(rng, T, n_in, opts.get("p_in", 0.15))
            wi = weights(rng, N, n_in, opts.get("w_in", 0.9)) + opts.get("w_in_mean", 0.35)
            wr = weights(rng, N, N, opts.get("w_rec", 0.5))
            g = opts.get("w_gain", {}).get(c, 1.0)
            wi, wr = wi * g, wr * g
            mid, names = [wi, wr], ["w_in", "w_rec"]
            if "extra" in opts:
                mid.append(opts["extra"](rng, N))
                names.append(opts["extra_name"])
            if f"rec_{c}_f64" in cases:
                p = params64(P(), **prm)
                ref["r" + c], _ = add(
                    f,
                    f"rec_{c}_f64",
                    rec,
                    x,
                    lambda td: RS(td, N, p),
                    p,
                    opts.get("dt_custom", dt) if c == "custom" else dt,
                    "f64",
                    mid,
                    names,
                    every=every,
                    call=f"{name}: {rec_name}(input[t], state, {', '.join(names)}, p, dt)",
                )
            if f"rec_{c}_f32" in cases:
                p32 = P()
                add(
                    f,
                    f"rec_{c}_f32",
                    rec,
                    x,
                    lambda td: RS(td, N, p32),
                    p32,
                    dt,
                    "f32",
                    mid,
                    names,
                    ref=ref["r" + c],
                    store_input=False,
                    every=every,
                    call=f"{name}: {rec_name}, package default parameter object",
                )
    return ref


def z0(td, N):
    import torch

    return torch.zeros(N, dtype=td)


def full(td, N, v):
    import torch

    v = np.asarray(v.detach().numpy() if hasattr(v, "detach") else v, dtype=np.float64)
    return torch.tensor(np.broadcast_to(v, (N,)).copy(), dtype=td)


def norse_models(out, versions, T=240, N=8, seed=20_001, only=None):
    import torch
    import norse.torch.functional.coba_lif as coba
    import norse.torch.functional.iaf as iaf
    import norse.torch.functional.leaky_integrator as li
    import norse.torch.functional.leaky_integrator_box as lib
    import norse.torch.functional.lif as lif
    import norse.torch.functional.lif_adex as adex
    import norse.torch.functional.lif_adex_refrac as adexr
    import norse.torch.functional.lif_box as box
    import norse.torch.functional.lif_ex as ex
    import norse.torch.functional.lif_mc as mc
    import norse.torch.functional.lif_mc_refrac as mcr
    import norse.torch.functional.lif_refrac as refr
    import norse.torch.functional.lsnn as lsnn
    import norse.torch.functional.reset as reset

    S = iter(range(seed, seed + 1000))

    def want(n):
        return only is None or n in only

    lif_FS = lambda td, N, p: lif.LIFFeedForwardState(v=full(td, N, p.v_leak), i=z0(td, N))
    lif_RS = lambda td, N, p: lif.LIFState(z=z0(td, N), v=full(td, N, p.v_leak), i=z0(td, N))
    lif_custom = dict(tau_syn_inv=1 / 8e-3, tau_mem_inv=1 / 2.5e-2, v_leak=-0.1, v_th=0.7, v_reset=-0.25)

    # LIF -------------------------------------------------------------
    if want("lif"):
        f = File("lif", out, "current-based LIF, input jump first, then v, then i decay, then threshold")
        M = 2 * N
        ff_rec(
            f,
            "lif",
            lif.LIFParameters,
            lif.lif_feed_forward_step,
            lif_FS,
            lif.lif_step,
            lif_RS,
            dict(seed=next(S), T=T, N=M, custom=lif_custom, w_rec=0.25),
        )
        rng = np.random.default_rng(next(S))
        # one parameter value per neuron
        p = params64(
            lif.LIFParameters(),
            tau_syn_inv=np.round(rng.uniform(80, 400, M)),
            tau_mem_inv=np.round(rng.uniform(30, 200, M)),
            v_leak=np.round(rng.uniform(-0.2, 0.2, M), 2),
            v_th=np.round(rng.uniform(0.5, 1.5, M), 2),
            v_reset=np.round(rng.uniform(-0.5, 0.3, M), 2),
        )
        x = current_input(rng, T, M, hi=4.0)
        add(
            f,
            "per_neuron_f64",
            lif.lif_feed_forward_step,
            x,
            lambda td: lif_FS(td, M, p),
            p,
            0.001,
            call="lif_feed_forward_step, every parameter a vector of length neurons",
        )
        # sparse variants
        x = spike_input(rng, T, 12)
        wi, wr = weights(rng, M, 12, 0.9) + 0.35, weights(rng, M, M, 0.25)
        p = params64(lif.LIFParameters())
        dense, _ = run(
            lif.lif_step,
            x[:, None],
            lif.LIFState(
                torch.zeros(1, M, dtype=torch.float64),
                torch.zeros(1, M, dtype=torch.float64),
                torch.zeros(1, M, dtype=torch.float64),
            ),
            p,
            0.001,
            torch.float64,
            [wi, wr],
        )
        st = lif.LIFState(
            torch.zeros(1, M, dtype=torch.float64).to_sparse(),
            torch.zeros(1, M, dtype=torch.float64),
            torch.zeros(1, M, dtype=torch.float64),
        )
        zs, vs, cs = [], [], []
        for t in range(T):
            z, st = lif.lif_step_sparse(
                tt(x[t : t + 1], torch.float64).to_sparse(), st, tt(wi, torch.float64), tt(wr, torch.float64), p, 0.001
            )
            zs.append(z.to_dense().numpy()[0])
            vs.append(st.v.numpy()[0])
            cs.append(st.i.numpy()[0])
        zs = np.stack(zs)
        f.put(
            "sparse_rec_f64",
            input=x.astype(np.uint8),
            w_in=wi,
            w_rec=wr,
            z=zs.astype(np.uint8),
            v=np.stack(vs),
            i=np.stack(cs),
        )
        f.describe(
            "sparse_rec_f64",
            call="lif_step_sparse, batch of 1, default parameters",
            dt=0.001,
            dtype="f64",
            rate=float(zs.mean()),
            same_spikes_as_dense=bool((zs == dense[:, 0]).all()),
        )
        x = current_input(rng, T, M)
        st = lif.LIFFeedForwardState(z0(torch.float64, M), z0(torch.float64, M))
        st2, zs, zd = st, [], []
        for t in range(T):
            z, st = lif.lif_feed_forward_step_sparse(tt(x[t], torch.float64), st, p, 0.001)
            z2, st2 = lif.lif_feed_forward_step(tt(x[t], torch.float64), st2, p, 0.001)
            zs.append(z.to_dense().numpy())
            zd.append(z2.numpy())
        zs = np.stack(zs)
        f.put("sparse_ff_f64", input=x.astype(np.float32), z=zs.astype(np.uint8))
        f.describe(
            "sparse_ff_f64",
            call="lif_feed_forward_step_sparse (output made sparse)",
            dt=0.001,
            dtype="f64",
            rate=float(zs.mean()),
            same_spikes_as_dense=bool((zs == np.stack(zd)).all()),
        )
        # integrals
        z, s = lif.lif_feed_forward_integral(
            tt(x, torch.float64), lif.LIFFeedForwardState(z0(torch.float64, M), z0(torch.float64, M)), p, 0.001
        )
        f.put(
            "integral_ff_f64",
            input=x.astype(np.float32),
            z=z.numpy().astype(np.uint8),
            final_v=s.v.numpy(),
            final_i=s.i.numpy(),
        )
        f.describe(
            "integral_ff_f64",
            call="lif_feed_forward_integral: all ticks stacked",
            dt=0.001,
            dtype="f64",
            rate=float(z.mean()),
        )
        x = spike_input(rng, T, 12)
        z, s = lif.lif_step_integral(
            tt(x, torch.float64), lif_RS(torch.float64, M, p), tt(wi, torch.float64), tt(wr, torch.float64), p, 0.001
        )
        f.put(
            "integral_rec_f64",
            input=x.astype(np.uint8),
            w_in=wi,
            w_rec=wr,
            z_returned=z.numpy().astype(np.uint8),
            final_v=s.v.numpy(),
            final_i=s.i.numpy(),
            final_z=s.z.numpy(),
        )
        f.describe(
            "integral_rec_f64",
            dt=0.001,
            dtype="f64",
            returned_shape=list(z.shape),
            call="lif_step_integral: QUIRK returns only the LAST tick's spikes, not the stack",
        )
        f.save(versions)

    if want("lif_current_encoder"):
        f = File("lif_current_encoder", out, "LIF without synaptic current; returns (z, v)")
        rng = np.random.default_rng(next(S))
        for case, prm, dt in (("default_f64", {}, 0.001), ("custom_f64", lif_custom, 0.0005)):
            p = params64(lif.LIFParameters(), **prm)
            x = np.round((rng.uniform(0.2, 4, (1, 2 * N)) + rng.normal(0, 0.6, (T, 2 * N))) * 64) / 64
            v, vs, zs = full(torch.float64, 2 * N, p.v_leak), [], []
            init = v.numpy().copy()
            for t in range(T):
                z, v = lif.lif_current_encoder(tt(x[t], torch.float64), v, p, dt)
                zs.append(z.numpy())
                vs.append(v.numpy())
            f.put(
                case,
                input=x.astype(np.float32),
                z=np.stack(zs).astype(np.uint8),
                v=np.stack(vs),
                init_v=init,
                **{f"p_{k}": a for k, a in flat_params(p).items() if not isinstance(a, str)},
            )
            f.describe(
                case, call="lif_current_encoder(input[t], v, p, dt)", dt=dt, dtype="f64", rate=float(np.mean(zs))
            )
        f.save(versions)

    if want("lif_box"):
        f = File("lif_box", out, "LIF without synaptic current, selectable reset")
        BS = lambda td, N, p: box.LIFBoxFeedForwardState(v=full(td, N, p.v_leak))
        o = dict(
            seed=next(S),
            T=T,
            N=2 * N,
            custom=dict(tau_mem_inv=400.0, v_leak=-0.1, v_th=0.3, v_reset=-0.2),
            dt_custom=0.0005,
            ff_in=dict(p=0.6, hi=6.0),
            cases=("default_f64", "default_f32", "custom_f64"),
        )
        ff_rec(f, "lif_box", box.LIFBoxParameters, box.lif_box_feed_forward_step, BS, None, None, o)
        rng = np.random.default_rng(next(S))
        p = params64(box.LIFBoxParameters(), tau_mem_inv=400.0, v_th=0.1, reset_method=reset.reset_subtract)
        x = current_input(rng, T, 2 * N, p=0.3, hi=4.0)
        add(
            f,
            "reset_subtract_f64",
            box.lif_box_feed_forward_step,
            x,
            lambda td: BS(td, 2 * N, p),
            p,
            0.0001,
            call="lif_box_feed_forward_step with reset_method=reset_subtract (v - v_th, v_reset ignored)",
        )
        f.save(versions)

    if want("iaf"):
        f = File(
            "iaf",
            out,
            "integrate and fire, no time constant, dt ignored; inputs on a 1/64 grid make exact v == v_th ties",
        )
        ff_rec(
            f,
            "iaf",
            iaf.IAFParameters,
            iaf.iaf_feed_forward_step,
            lambda td, N, p: iaf.IAFFeedForwardState(v=full(td, N, p.v_reset)),
            iaf.iaf_step,
            lambda td, N, p: iaf.IAFState(z=z0(td, N), v=full(td, N, p.v_reset)),
            dict(
                seed=next(S),
                T=T,
                N=2 * N,
                custom=dict(v_th=2.5, v_reset=-0.5),
                ff_in=dict(p=0.4, hi=0.8, neg=0.2),
                w_in=0.25,
                w_in_mean=0.12,
                w_rec=0.12,
            ),
        )
        p = params64(iaf.IAFParameters())
        x = np.tile(np.array([[0.25, 0.5, 1.0, 0.125]]), (64, 1))
        add(
            f,
            "exact_ties_f64",
            iaf.iaf_feed_forward_step,
            x,
            lambda td: iaf.IAFFeedForwardState(v=z0(td, 4)),
            p,
            0.001,
            check=False,
            call="iaf_feed_forward_step, constant dyadic inputs: v reaches v_th exactly and must NOT fire there",
        )
        f.save(versions)

    if want("leaky_integrator"):
        f = File("leaky_integrator", out, "outputs v (no spikes)")
        rng = np.random.default_rng(next(S))
        for case, prm, dt in (
            ("default_f64", {}, 0.001),
            ("custom_f64", dict(tau_syn_inv=125.0, tau_mem_inv=40.0, v_leak=0.3), 0.0005),
        ):
            p = params64(li.LIParameters(), **prm)
            x = current_input(rng, T, N)
            add(
                f,
                case,
                li.li_feed_forward_step,
                x,
                lambda td: li.LIState(full(td, N, p.v_leak), z0(td, N)),
                p,
                dt,
                call="li_feed_forward_step(input[t], state, p, dt)",
            )
            xs, w = spike_input(rng, T, 12), weights(rng, N, 12, 0.5)
            add(
                f,
                "weighted_" + case,
                li.li_step,
                xs,
                lambda td: li.LIState(full(td, N, p.v_leak), z0(td, N)),
                p,
                dt,
                mid=[w],
                mid_names=["w_in"],
                call="li_step(input[t], state, w_in, p, dt)",
            )
            if case == "default_f64":
                add(
                    f,
                    "default_f32",
                    li.li_feed_forward_step,
                    x,
                    lambda td: li.LIState(z0(td, N), z0(td, N)),
                    li.LIParameters(),
                    dt,
                    "f32",
                    store_input=False,
                    call="li_feed_forward_step, package default parameters; input of default_f64",
                )
        f.save(versions)

    if want("leaky_integrator_box"):
        f = File("leaky_integrator_box", out, "outputs v (no spikes)")
        rng = np.random.default_rng(next(S))
        for case, prm, dt in (("default_f64", {}, 0.001), ("custom_f64", dict(tau_mem_inv=700.0, v_leak=-0.2), 0.0005)):
            p = params64(lib.LIBoxParameters(), **prm)
            x = current_input(rng, T, N)
            add(
                f,
                case,
                lib.li_box_feed_forward_step,
                x,
                lambda td: lib.LIBoxState(full(td, N, p.v_leak)),
                p,
                dt,
                call="li_box_feed_forward_step(input[t], state, p, dt)",
            )
            xs, w = spike_input(rng, T, 12), weights(rng, N, 12, 0.5)
            add(
                f,
                "weighted_" + case,
                lib.li_box_step,
                xs,
                lambda td: lib.LIBoxState(full(td, N, p.v_leak)),
                p,
                dt,
                mid=[w],
                mid_names=["w_in"],
                call="li_box_step(input[t], state, w_in, p, dt)",
            )
        f.save(versions)

    if want("coba_lif"):
        f = File("coba_lif", out, "conductance LIF. QUIRK: coba_lif_step ignores input_spikes and w_in altogether")
        CF = lambda td, N, p: coba.CobaLIFFeedForwardState(v=full(td, N, p.v_rest), g_e=z0(td, N), g_i=z0(td, N))
        CR = lambda td, N, p: coba.CobaLIFState(z=z0(td, N), v=full(td, N, p.v_rest), g_e=z0(td, N), g_i=z0(td, N))
        rng = np.random.default_rng(next(S))
        bio = {k: v for k, v in coba.default_bio_parameters._asdict().items() if not isinstance(v, str)}
        bio = {k: float(v) for k, v in bio.items()}
        ref = None
        for case, prm, dt, hi, neg in (
            ("default_f64", {}, 0.001, 4.0, 0.3),
            ("default_dt1_f64", {}, 1.0, 0.03, 0.45),
            ("bio_dt0.1_f64", bio, 0.1, 0.5, 0.2),
        ):
            p = params64(coba.CobaLIFParameters(), **prm)
            x = current_input(rng, T, N, p=0.25, hi=hi, neg=neg, q=4096)
            if case == "default_f64":
                x[:, ::2] *= 1.5
            o, _ = add(
                f,
                case,
                coba.coba_lif_feed_forward_step,
                x,
                lambda td: CF(td, N, p),
                p,
                dt,
                call="coba_lif_feed_forward_step(input[t], state, p, dt), input > 0 exc, < 0 inh conductance",
            )
            if case == "default_f64":
                add(
                    f,
                    "default_f32",
                    coba.coba_lif_feed_forward_step,
                    x,
                    lambda td: CF(td, N, coba.CobaLIFParameters()),
                    coba.CobaLIFParameters(),
                    dt,
                    "f32",
                    store_input=False,
                    ref=o,
                    call="coba_lif_feed_forward_step, package default parameters (integer tensors among them)",
                )
        # the recurrent step only ever listens to its own spikes: start it above threshold
        for case, prm, dt, ws in (
            ("rec_default_dt1_f64", dict(v_rest=-5.0, c_m_inv=1.0), 1.0, 0.004),
            ("rec_default_f64", dict(v_rest=100.0), 0.001, 20.0),
        ):
            p = params64(coba.CobaLIFParameters(), **prm)
            wi, wr = weights(rng, N, 12, 0.5), weights(rng, N, N, ws) - 0.2 * ws
            x = spike_input(rng, T, 12)

            def RS(td):
                s = CR(td, N, p)
                return s._replace(v=tt(np.linspace(-60, -10.5, N), td))

            add(
                f,
                case,
                coba.coba_lif_step,
                x,
                RS,
                p,
                dt,
                mid=[wi, wr],
                mid_names=["w_in", "w_rec"],
                check=False,
                call="coba_lif_step; v_rest raised above threshold so that neurons fire at all; input has no effect",
            )
        f.save(versions)

    if want("lif_ex"):
        f = File("lif_ex", out, "exponential LIF")
        EF = lambda td, N, p: ex.LIFExFeedForwardState(full(td, N, p.v_leak), z0(td, N))
        ER = lambda td, N, p: ex.LIFExState(z0(td, N), full(td, N, p.v_leak), z0(td, N))
        cu = dict(delta_T=0.2, tau_syn_inv=150.0, tau_mem_inv=60.0, v_leak=-0.1, v_th=0.8, v_reset=-0.3)
        ff_rec(
            f,
            "lif_ex",
            ex.LIFExParameters,
            ex.lif_ex_feed_forward_step,
            EF,
            ex.lif_ex_step,
            ER,
            dict(seed=next(S), T=T, N=N, custom=cu, w_rec=0.25, ff_in=dict(hi=2.5)),
        )
        rng = np.random.default_rng(next(S))
        encoder_case(f, rng, ex.lif_ex_current_encoder, ex.LIFExParameters, cu, T, N, False)
        f.save(versions)

    if want("lif_adex"):
        f = File("lif_adex", out, "adaptive exponential LIF")
        AF = lambda td, N, p: adex.LIFAdExFeedForwardState(full(td, N, p.v_leak), z0(td, N), z0(td, N))
        AR = lambda td, N, p: adex.LIFAdExState(z0(td, N), full(td, N, p.v_leak), z0(td, N), z0(td, N))
        cu = dict(
            adaptation_current=1.5,
            adaptation_spike=0.3,
            delta_T=0.25,
            tau_ada_inv=25.0,
            tau_syn_inv=150.0,
            tau_mem_inv=60.0,
            v_leak=-0.1,
            v_th=0.8,
            v_reset=-0.3,
        )
        ff_rec(
            f,
            "lif_adex",
            adex.LIFAdExParameters,
            adex.lif_adex_feed_forward_step,
            AF,
            adex.lif_adex_step,
            AR,
            dict(seed=next(S), T=T, N=N, custom=cu, w_rec=0.25),
        )
        rng = np.random.default_rng(next(S))
        encoder_case(f, rng, adex.lif_adex_current_encoder, adex.LIFAdExParameters, cu, T, N, True)
        f.save(versions)

    if want("lif_refrac"):
        f = File("lif_refrac", out, "LIF with an absolute refractory counter in ticks")
        RF = lambda td, N, p: refr.LIFRefracFeedForwardState(lif_FS(td, N, p.lif), z0(td, N))
        RR = lambda td, N, p: refr.LIFRefracState(lif_RS(td, N, p.lif), z0(td, N))
        cu = dict(lif_custom, rho_reset=2.0)
        ff_rec(
            f,
            "lif_refrac",
            refr.LIFRefracParameters,
            refr.lif_refrac_feed_forward_step,
            RF,
            refr.lif_refrac_step,
            RR,
            dict(seed=next(S), T=T, N=N, custom=cu, w_rec=0.4, ff_in=dict(hi=5.0), w_in=1.2),
        )
        rng = np.random.default_rng(next(S))
        p = params64(refr.LIFRefracParameters(), rho_reset=2.5)
        x = current_input(rng, T, N, hi=5.0)
        add(
            f,
            "fractional_rho_f64",
            refr.lif_refrac_feed_forward_step,
            x,
            lambda td: RF(td, N, p),
            p,
            0.001,
            call="lif_refrac_feed_forward_step with rho_reset=2.5 (counts 2.5, 1.5, 0.5, 0: 3 silent ticks)",
        )
        f.save(versions)

    if want("lif_adex_refrac"):
        f = File("lif_adex_refrac", out, "AdEx with an absolute refractory counter in ticks")
        RF = lambda td, N, p: adexr.LIFAdExRefracFeedForwardState(
            adex.LIFAdExFeedForwardState(full(td, N, p.lif_adex.v_leak), z0(td, N), z0(td, N)), z0(td, N)
        )
        RR = lambda td, N, p: adexr.LIFAdExRefracState(
            adex.LIFAdExState(z0(td, N), full(td, N, p.lif_adex.v_leak), z0(td, N), z0(td, N)), z0(td, N)
        )
        cu = dict(
            adaptation_current=1.5,
            adaptation_spike=0.3,
            delta_T=0.25,
            tau_ada_inv=25.0,
            tau_syn_inv=150.0,
            tau_mem_inv=60.0,
            v_leak=-0.1,
            v_th=0.8,
            v_reset=-0.3,
            rho_reset=3.0,
        )
        ff_rec(
            f,
            "lif_adex_refrac",
            adexr.LIFAdExRefracParameters,
            adexr.lif_adex_refrac_feed_forward_step,
            RF,
            adexr.lif_adex_refrac_step,
            RR,
            dict(
                seed=next(S),
                T=T,
                N=N,
                custom=cu,
                w_rec=0.4,
                ff_in=dict(hi=5.0),
                w_in=1.2,
                cases=("default_f64", "default_f32", "custom_f64", "rec_default_f64", "rec_custom_f64"),
            ),
        )
        f.save(versions)

    gc = lambda rng, N: np.round(rng.normal(0, 1 / np.sqrt(N), (N, N)) * 4096) / 4096
    if want("lif_mc"):
        f = File(
            "lif_mc",
            out,
            "LIF with coupled compartments. Coupling: after the step when recurrent, before it when feed-forward",
        )
        ff_rec(
            f,
            "lif_mc",
            lif.LIFParameters,
            None,
            None,
            lambda x, s, wi, wr, g, p, dt: mc.lif_mc_step(x, s, wi, wr, g, p, dt),
            lif_RS,
            dict(
                seed=next(S),
                T=T,
                N=N,
                custom=lif_custom,
                w_rec=0.25,
                extra=lambda r, n: 40 * gc(r, n),
                extra_name="g_coupling",
                rec_name="lif_mc_step",
            ),
        )
        rng = np.random.default_rng(next(S))
        for case, prm in (("ff_default_f64", {}), ("ff_custom_f64", lif_custom)):
            p = params64(lif.LIFParameters(), **prm)
            add(
                f,
                case,
                lambda x, s, g, p, dt: mc.lif_mc_feed_forward_step(x, s, g, p, dt),
                current_input(rng, T, N),
                lambda td: lif_FS(td, N, p),
                p,
                0.001,
                mid=[40 * gc(rng, N)],
                mid_names=["g_coupling"],
                call="lif_mc_feed_forward_step(input[t], state, g_coupling, p, dt)",
            )
        f.save(versions)

    if want("lif_mc_refrac"):
        f = File(
            "lif_mc_refrac",
            out,
            "QUIRK: coupling is not scaled by dt; refractory neurons still fire if coupling lifts them",
        )
        RF = lambda td, N, p: refr.LIFRefracFeedForwardState(lif_FS(td, N, p.lif), z0(td, N))
        RR = lambda td, N, p: refr.LIFRefracState(lif_RS(td, N, p.lif), z0(td, N))
        cu = dict(lif_custom, rho_reset=2.0)
        # negative diagonal keeps the un-scaled coupling from exploding
        gm = lambda r, n: 0.06 * gc(r, n) - 0.05 * np.eye(n)
        ff_rec(
            f,
            "lif_mc_refrac",
            refr.LIFRefracParameters,
            None,
            None,
            lambda x, s, wi, wr, g, p, dt: mcr.lif_mc_refrac_step(x, s, wi, wr, g, p, dt),
            RR,
            dict(
                seed=next(S),
                T=T,
                N=N,
                custom=cu,
                w_rec=0.3,
                w_in=1.2,
                extra=gm,
                extra_name="g_coupling",
                rec_name="lif_mc_refrac_step",
            ),
        )
        rng = np.random.default_rng(next(S))
        for case, prm in (("ff_default_f64", {}), ("ff_custom_f64", cu)):
            p = params64(refr.LIFRefracParameters(), **prm)
            add(
                f,
                case,
                lambda x, s, g, p, dt: mcr.lif_mc_refrac_feed_forward_step(x, s, g, p, dt),
                current_input(rng, T, N, hi=5.0),
                lambda td: RF(td, N, p),
                p,
                0.001,
                mid=[gm(rng, N)],
                mid_names=["g_coupling"],
                call="lif_mc_refrac_feed_forward_step(input[t], state, g_coupling, p, dt)",
            )
        f.save(versions)

    if want("lsnn"):
        f = File(
            "lsnn",
            out,
            "adaptive threshold. b starts at v_th and IS the threshold; v uses the OLD current, input jump last",
        )
        LF = lambda td, N, p: lsnn.LSNNFeedForwardState(full(td, N, p.v_leak), z0(td, N), full(td, N, p.v_th))
        LR = lambda td, N, p: lsnn.LSNNState(z0(td, N), full(td, N, p.v_leak), z0(td, N), full(td, N, p.v_th))
        cu = dict(
            tau_syn_inv=125.0, tau_mem_inv=40.0, tau_adapt_inv=20.0, v_leak=0.05, v_th=0.6, v_reset=-0.1, beta=0.4
        )
        ff_rec(
            f,
            "lsnn",
            lsnn.LSNNParameters,
            lsnn.lsnn_feed_forward_step,
            LF,
            lsnn.lsnn_step,
            LR,
            dict(seed=next(S), T=T, N=N, custom=cu, w_rec=0.4, w_in=2.0, w_in_mean=1.5, ff_in=dict(hi=14.0, neg=0.05)),
        )
        rng = np.random.default_rng(next(S))
        for case, prm in (("ada_lif_default_f64", {}), ("ada_lif_custom_f64", cu)):
            p = params64(lsnn.LSNNParameters(), **prm)
            wi, wr = weights(rng, N, 12, 1.2) + 0.8, weights(rng, N, N, 0.4)
            # ada_lif_step keeps an adaptation CURRENT in b, so b starts at 0 here
            add(
                f,
                case,
                lsnn.ada_lif_step,
                spike_input(rng, T, 12),
                lambda td: lsnn.LSNNState(z0(td, N), full(td, N, p.v_leak), z0(td, N), z0(td, N)),
                p,
                0.001,
                mid=[wi, wr],
                mid_names=["w_in", "w_rec"],
                call="ada_lif_step(input[t], state, w_in, w_rec, p, dt), b starts at 0",
            )
        f.save(versions)

    if want("izhikevich"):
        izhikevich(out, versions, T if T > 1000 else 500, next(S))


def encoder_case(f, rng, fn, P, custom, T, N, adapt):
    import torch

    T_all = T
    for case, prm, dt in (("encoder_default_f64", {}, 0.001), ("encoder_custom_f64", custom, 0.0005)):
        # the released AdEx encoder drops the old adaptation: with its default tau_ada_inv = 2 the value doubles every tick,
        # so only 20 ticks of that are kept, and the other case uses a rate below 1
        T = 20 if adapt and not prm else T_all
        p = params64(P(), **(dict(prm, tau_ada_inv=0.5, adaptation_current=0.8) if adapt and prm else prm))
        x = np.round((rng.uniform(0.2, 3, (1, N)) + rng.normal(0, 0.5, (T, N))) * 64) / 64
        v, a = full(torch.float64, N, p.v_leak), z0(torch.float64, N)
        rec = {"z": [], "v": [], "a": []}
        for t in range(T):
            if adapt:
                z, v, a = fn(tt(x[t], torch.float64), v, a, p, dt)
            else:
                z, v = fn(tt(x[t], torch.float64), v, p, dt)
            rec["z"].append(z.numpy())
            rec["v"].append(v.numpy())
            rec["a"].append(a.numpy())
        arrays = dict(input=x.astype(np.float32), z=np.stack(rec["z"]).astype(np.uint8), v=np.stack(rec["v"]))
        if adapt:
            arrays["a"] = np.stack(rec["a"])
        f.put(case, **arrays, **{f"p_{k}": q for k, q in flat_params(p).items() if not isinstance(q, str)})
        f.describe(
            case,
            call=f"{fn.__name__}(input[t], v{', a' if adapt else ''}, p, dt), v starts at v_leak, a at 0",
            dt=dt,
            dtype="f64",
            rate=float(np.mean(rec["z"])),
        )


PRESETS = [
    "tonic_spiking",
    "phasic_spiking",
    "tonic_bursting",
    "phasic_bursting",
    "mixed_mode",
    "spike_frequency_adaptation",
    "class_1_exc",
    "class_2_exc",
    "spike_latency",
    "subthreshold_oscillation",
    "resonator",
    "integrator",
    "rebound_spike",
    "rebound_burst",
    "threshold_variability",
    "bistability",
    "dap",
    "accomodation",
    "inhibition_induced_spiking",
    "inhibition_induced_bursting",
]


def izh_current(rng, T, preset):
    """4 lanes: silence, a step, pulses of both signs, noise; all on a 1/16 grid."""
    amp = {"inhibition_induced_spiking": 75.0, "inhibition_induced_bursting": 75.0, "dap": 20.0}.get(preset, 14.0)
    x = np.zeros((T, 4))
    x[T // 10 :, 1] = amp
    for s in rng.integers(10, T - 20, 10):
        x[s : s + rng.integers(3, 15), 2] = rng.choice([-1.0, 1.0, 2.0]) * amp
    x[:, 3] = np.repeat(rng.normal(0.4, 0.8, T // 10 + 1), 10)[:T] * amp
    if preset.startswith("inhibition"):  # these rest under a positive current and fire when it drops
        x = 80.0 - np.abs(x) * 0.1
    return np.round(x * 16) / 16


def izhikevich(out, versions, T, seed, every=1, dts=(0.001,)):
    import torch
    import norse.torch.functional.izhikevich as iz

    f = File(
        "izhikevich", out, "one case per spiking-behaviour preset; 4 input lanes: silent, step, signed pulses, noise"
    )
    rng = np.random.default_rng(seed)
    for n in PRESETS:
        b = getattr(iz, n)
        for dt in dts:
            x = izh_current(rng, T, n)
            case = n if len(dts) == 1 else f"{n}_dt{dt}"
            v0, u0 = float(b.s.v.detach()), shortest(b.s.u.detach().numpy())
            add(
                f,
                case,
                iz.izhikevich_feed_forward_step,
                x,
                lambda td: iz.IzhikevichState(full(td, 4, v0), full(td, 4, u0)),
                b.p,
                dt,
                "f64",
                every=every,
                call=f"izhikevich_feed_forward_step(input[t], state, {n}.p, dt), initial state {n}.s",
            )
            if n in ("tonic_spiking", "tonic_bursting", "class_1_exc", "dap") and every == 1:
                ref = f.arrays[f"{case}/z"]
                add(
                    f,
                    case + "_f32",
                    iz.izhikevich_feed_forward_step,
                    x,
                    lambda td: iz.IzhikevichState(full(td, 4, v0), full(td, 4, u0)),
                    b.p,
                    dt,
                    "f32",
                    every=every,
                    ref=ref,
                    store_input=False,
                    call="the same in float32",
                )
    N = 8
    for n in ("tonic_spiking", "tonic_bursting"):
        b = getattr(iz, n)
        x = spike_input(rng, T, 12)
        wi, wr = weights(rng, N, 12, 12.0) + 14.0, weights(rng, N, N, 25.0)
        v0, u0 = float(b.s.v.detach()), shortest(b.s.u.detach().numpy())
        add(
            f,
            f"rec_{n}",
            iz.izhikevich_recurrent_step,
            x,
            lambda td: iz.IzhikevichRecurrentState(z0(td, N), full(td, N, v0), full(td, N, u0)),
            b.p,
            0.001,
            mid=[wi, wr],
            mid_names=["w_in", "w_rec"],
            every=every,
            call=f"izhikevich_recurrent_step(input[t], state, w_in, w_rec, {n}.p, dt)",
        )
    b = iz.create_izhikevich_spiking_behavior(a=0.03, b=0.22, c=-58.0, d=5.0, v_rest=-66.0, u_rest=-66.0, tau_inv=400)
    x = izh_current(rng, T, "custom")
    add(
        f,
        "custom",
        iz.izhikevich_feed_forward_step,
        x,
        lambda td: iz.IzhikevichState(full(td, 4, -66.0), full(td, 4, -66.0 * 0.22)),
        b.p,
        0.0005,
        every=every,
        call="create_izhikevich_spiking_behavior(a=.03,b=.22,c=-58,d=5,v_rest=-66,u_rest=-66,tau_inv=400), dt=.0005",
    )
    f.meta["presets"] = {
        n: dict(
            flat_meta(getattr(iz, n).p),
            v0=float(getattr(iz, n).s.v.detach()),
            u0=float(shortest(getattr(iz, n).s.u.detach().numpy())),
        )
        for n in PRESETS
    }
    f.save(versions)


def flat_meta(p):
    return {k: (v if isinstance(v, str) else float(v)) for k, v in flat_params(p).items()}


# ---------------------------------------------------------------- plasticity, synapses, encoders, decoders, fields
def norse_rest(out, versions, T=240, seed=21_001, only=None):
    import torch
    import norse.torch as snn
    import norse.torch.functional.correlation_sensor as cs
    import norse.torch.functional.decode as dec
    import norse.torch.functional.encode as enc
    import norse.torch.functional.lif as lif
    import norse.torch.functional.lif_correlation as lc
    import norse.torch.functional.receptive_field as rf
    import norse.torch.functional.stdp as stdp
    import norse.torch.functional.stdp_sensor as ss
    import norse.torch.functional.tsodyks_makram as tm
    from norse.torch.module.exp_filter import ExpFilter
    from norse.torch.module.spikes_to_times_decoder import SpikesToTimesDecoder

    D = torch.float64
    S = iter(range(seed, seed + 1000))

    def want(n):
        return only is None or n in only

    if want("tsodyks_makram"):
        f = File(
            "tsodyks_makram",
            out,
            "short-term plasticity; output is the transmitted efficacy u*x*z; tau_s_inv is unused",
        )
        rng = np.random.default_rng(next(S))
        for case, prm, dt in (
            ("default_f64", {}, 0.001),
            ("facilitating_f64", dict(U=0.05, tau_f_inv=1 / 0.5, tau_d_inv=1 / 0.1), 0.001),
            ("depressing_dt0.5ms_f64", dict(U=0.6, tau_f_inv=1 / 0.03, tau_d_inv=1 / 0.9), 0.0005),
        ):
            p = tm.TsodyksMakramParameters()._replace(**prm)
            z = spike_input(rng, T, 8, 0.1)
            s, o, u, x = tm.TsodyksMakramState(u=torch.zeros(8, dtype=D), x=torch.ones(8, dtype=D)), [], [], []
            for t in range(T):
                y, s = tm.stp_step(tt(z[t], D), s, p, dt)
                o.append(y.numpy())
                u.append(s.u.numpy())
                x.append(s.x.numpy())
            f.put(
                case,
                input=z.astype(np.uint8),
                out=np.stack(o),
                u=np.stack(u),
                x=np.stack(x),
                init_u=np.zeros(8),
                init_x=np.ones(8),
            )
            f.describe(
                case, call="stp_step(z[t], state(u=0, x=1), p, dt)", dt=dt, dtype="f64", params=dict(p._asdict())
            )
        f.save(versions)

    if want("stdp"):
        f = File(
            "stdp",
            out,
            "trace STDP; the trace jump is scaled by dt*tau_inv; traces are updated BEFORE the weight change",
        )
        rng = np.random.default_rng(next(S))
        algos = (
            ("additive", {}),
            ("additive_step", {}),
            ("multiplicative_pow", dict(mu=0.5)),
            ("multiplicative_relu", {}),
        )
        for algo, kw in algos:
            for tag, prm, B in (
                ("default", {}, 1),
                (
                    "custom",
                    dict(
                        a_pre=1.3,
                        a_post=0.8,
                        tau_pre_inv=40.0,
                        tau_post_inv=25.0,
                        w_min=0.1,
                        w_max=0.9,
                        eta_plus=0.15,
                        eta_minus=0.12,
                    ),
                    3,
                ),
            ):
                prm = dict(dict(eta_plus=0.05, eta_minus=0.04) if tag == "default" else {}, **prm)
                p64 = {k: (tt(v, D) if k.startswith(("a_", "tau_")) else v) for k, v in prm.items()}
                for k, v in (("a_pre", 1.0), ("a_post", 1.0), ("tau_pre_inv", 20.0), ("tau_post_inv", 20.0)):
                    p64.setdefault(k, tt(v, D))
                p = stdp.STDPParameters(stdp_algorithm=algo, **kw, **p64)
                if algo == "multiplicative_pow":
                    p.mu = tt(0.5, D)
                n, m = 6, 5
                pre = np.stack([spike_input(rng, T, n, 0.1) for _ in range(B)], 1)
                post = np.stack([spike_input(rng, T, m, 0.1) for _ in range(B)], 1)
                w0 = np.round(rng.uniform(0.2, 0.8, (m, n)) * 1024) / 1024
                w, s = tt(w0, D), stdp.STDPState(torch.zeros(B, n, dtype=D), torch.zeros(B, m, dtype=D))
                W, TP, TQ = [], [], []
                for t in range(T):
                    w, s = stdp.stdp_step_linear(tt(pre[t], D), tt(post[t], D), w, s, p, 0.001)
                    W.append(w.numpy().copy())
                    TP.append(s.t_pre.numpy().copy())
                    TQ.append(s.t_post.numpy().copy())
                f.put(
                    f"{algo}_{tag}_f64",
                    z_pre=pre.astype(np.uint8),
                    z_post=post.astype(np.uint8),
                    w_init=w0,
                    w=np.stack(W)[9::10],
                    t_pre=np.stack(TP)[9::10],
                    t_post=np.stack(TQ)[9::10],
                )
                f.describe(
                    f"{algo}_{tag}_f64",
                    call="stdp_step_linear(z_pre[t], z_post[t], w, state, p, dt)",
                    dt=0.001,
                    dtype="f64",
                    params=dict({k: float(v) for k, v in p64.items()}, algorithm=algo, **kw),
                    stored="ticks 9, 19, 29, ...",
                    batch=B,
                )
        # convolutional
        for algo in ("additive", "multiplicative_relu"):
            p = stdp.STDPParameters(
                stdp_algorithm=algo,
                convolutional=True,
                stride=1,
                padding=1,
                dilation=1,
                eta_plus=0.01,
                eta_minus=0.009,
                a_pre=tt(1.0, D),
                a_post=tt(1.0, D),
                tau_pre_inv=tt(20.0, D),
                tau_post_inv=tt(20.0, D),
            )
            Tc, B, ci, co, h = 80, 2, 2, 3, 5
            pre = (rng.random((Tc, B, ci, h, h)) < 0.1).astype(float)
            post = (rng.random((Tc, B, co, h, h)) < 0.1).astype(float)
            w0 = np.round(rng.uniform(0.2, 0.8, (co, ci, 3, 3)) * 1024) / 1024
            w, s = tt(w0, D), stdp.STDPState(torch.zeros(B, ci, h, h, dtype=D), torch.zeros(B, co, h, h, dtype=D))
            W = []
            for t in range(Tc):
                w, s = stdp.stdp_step_conv2d(tt(pre[t], D), tt(post[t], D), w, s, p, 0.001)
                W.append(w.numpy().copy())
            f.put(
                f"conv_{algo}_f64",
                z_pre=pre.astype(np.uint8),
                z_post=post.astype(np.uint8),
                w_init=w0,
                w=np.stack(W)[9::10],
                final_t_pre=s.t_pre.numpy(),
                final_t_post=s.t_post.numpy(),
            )
            f.describe(
                f"conv_{algo}_f64",
                call="stdp_step_conv2d, 3x3 kernel, stride 1, padding 1, batch 2",
                dt=0.001,
                dtype="f64",
                stored="ticks 9, 19, ...",
                params=dict(eta_plus=0.01, eta_minus=0.009, tau_pre_inv=20.0, tau_post_inv=20.0),
            )
        f.save(versions)

    if want("stdp_sensor"):
        f = File("stdp_sensor", out, "QUIRK: both traces decay with tau_c_inv; tau_ac_inv is unused")
        rng = np.random.default_rng(next(S))
        for case, prm in (
            ("default_f64", {}),
            ("custom_f64", dict(eta_p=0.7, eta_m=1.4, tau_ac_inv=33.0, tau_c_inv=25.0)),
        ):
            p = params64(ss.STDPSensorParameters(), **prm)
            pre, post = spike_input(rng, T, 6, 0.1), spike_input(rng, T, 6, 0.1)
            s, A, B = ss.STDPSensorState(torch.zeros(6, dtype=D), torch.zeros(6, dtype=D)), [], []
            for t in range(T):
                s = ss.stdp_sensor_step(tt(pre[t], D), tt(post[t], D), s, p, 0.001)
                A.append(s.a_pre.numpy())
                B.append(s.a_post.numpy())
            f.put(case, z_pre=pre.astype(np.uint8), z_post=post.astype(np.uint8), a_pre=np.stack(A), a_post=np.stack(B))
            f.describe(
                case,
                call="stdp_sensor_step(z_pre[t], z_post[t], state, p, dt)",
                dt=0.001,
                dtype="f64",
                params=flat_meta(p),
            )
        f.save(versions)

    if want("correlation_sensor"):
        f = File("correlation_sensor", out, "state arrays are (batch 1, pre, post)")
        rng = np.random.default_rng(next(S))
        for case, prm in (
            ("default_f64", {}),
            ("custom_f64", dict(eta_p=0.7, eta_m=1.4, tau_ac_inv=33.0, tau_c_inv=25.0)),
        ):
            p = params64(cs.CorrelationSensorParameters(), **prm)
            n, m = 5, 4
            pre, post = spike_input(rng, T, n, 0.1)[:, None], spike_input(rng, T, m, 0.1)[:, None]
            zero = lambda: torch.zeros(1, n, m, dtype=D)
            s = cs.CorrelationSensorState(zero(), zero(), zero())
            R = {k: [] for k in s._fields}
            for t in range(T):
                s = cs.correlation_sensor_step(tt(pre[t], D), tt(post[t], D), s, p, 0.001)
                for k in R:
                    R[k].append(getattr(s, k).numpy().copy())
            f.put(
                case,
                z_pre=pre.astype(np.uint8),
                z_post=post.astype(np.uint8),
                **{k: (np.stack(v).astype(np.uint8) if k == "post_pre" else np.stack(v)[4::5]) for k, v in R.items()},
            )
            f.describe(
                case,
                call="correlation_sensor_step(z_pre[t], z_post[t], state, p, dt), all state starts at 0",
                dt=0.001,
                dtype="f64",
                params=flat_meta(p),
                stored="traces at ticks 4, 9, 14, ...; post_pre every tick",
            )
        n, h = 6, 4
        wi, wr = weights(rng, h, n, 0.9) + 0.5, weights(rng, h, h, 0.3)
        p = lc.LIFCorrelationParameters(
            params64(lif.LIFParameters()),
            params64(cs.CorrelationSensorParameters()),
            params64(cs.CorrelationSensorParameters()),
        )
        mk = lambda a, b: cs.CorrelationSensorState(*(torch.zeros(1, a, b, dtype=D) for _ in range(3)))
        s = lc.LIFCorrelationState(lif.LIFState(*(torch.zeros(1, h, dtype=D) for _ in range(3))), mk(n, h), mk(h, h))
        x = spike_input(rng, T, n, 0.25)[:, None]
        R = {k: [] for k in ("z", "v", "i", "in_corr", "in_anti", "rec_corr", "rec_anti")}
        for t in range(T):
            z, s = lc.lif_correlation_step(tt(x[t], D), s, tt(wi, D), tt(wr, D), p, 0.001)
            for k, a in (
                ("z", z),
                ("v", s.lif_state.v),
                ("i", s.lif_state.i),
                ("in_corr", s.input_correlation_state.correlation_trace),
                ("in_anti", s.input_correlation_state.anti_correlation_trace),
                ("rec_corr", s.recurrent_correlation_state.correlation_trace),
                ("rec_anti", s.recurrent_correlation_state.anti_correlation_trace),
            ):
                R[k].append(a.numpy().copy())
        R = {k: np.stack(v) for k, v in R.items()}
        f.put(
            "lif_correlation_f64",
            input=x.astype(np.uint8),
            w_in=wi,
            w_rec=wr,
            z=R.pop("z").astype(np.uint8),
            v=R.pop("v"),
            i=R.pop("i"),
            **{k: v[4::5] for k, v in R.items()},
        )
        f.describe(
            "lif_correlation_f64",
            call="lif_correlation_step, default parameters, batch 1",
            dt=0.001,
            dtype="f64",
            stored="traces at ticks 4, 9, ...",
            rate=float(f.arrays["lif_correlation_f64/z"].mean()),
        )
        f.save(versions)

    if want("encode"):
        f = File("encode", out, "deterministic encoders exactly; Poisson ones as expected probabilities")
        rng = np.random.default_rng(next(S))
        x = np.round(rng.uniform(-1, 20, 32) * 64) / 64
        x[:6] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
        cu = dict(tau_mem_inv=40.0, v_leak=0.2, v_th=0.6, v_reset=-0.1)
        for dt_name, td in (("f64", D), ("f32", torch.float32)):
            for case, p, dt in (("default", lif.LIFParameters(), 0.001), ("custom", None, 0.0005)):
                if p is None:
                    p = lif.LIFParameters(**{k: torch.tensor(v, dtype=td) for k, v in cu.items()})
                elif td is D:
                    p = params64(p)
                z = enc.constant_current_lif_encode(tt(x, td), T, p, dt)
                f.put(f"constant_current_{case}_{dt_name}", input=x, z=z.numpy().astype(np.uint8))
                f.describe(
                    f"constant_current_{case}_{dt_name}",
                    call="constant_current_lif_encode(input, seq_length=ticks, p, dt); v starts at 0, NOT v_leak",
                    dt=dt,
                    dtype=dt_name,
                    rate=float(z.mean()),
                    params=flat_meta(p),
                    out_dtype=str(z.dtype),
                )
                z = enc.spike_latency_lif_encode(tt(x, td), T, p, dt)
                f.put(f"latency_lif_{case}_{dt_name}", input=x, z=z.numpy().astype(np.uint8))
                f.describe(
                    f"latency_lif_{case}_{dt_name}",
                    call="spike_latency_lif_encode(input, ticks, p, dt)",
                    dt=dt,
                    dtype=dt_name,
                    rate=float(z.mean()),
                    params=flat_meta(p),
                )
        s = (rng.random((T, 5, 4)) < np.linspace(0, 0.08, 20).reshape(5, 4)).astype(float)
        f.put("spike_latency", input=s.astype(np.uint8), z=enc.spike_latency_encode(tt(s, D)).numpy().astype(np.uint8))
        f.describe("spike_latency", call="spike_latency_encode(input): first spike of every lane along axis 0")
        d = np.round(rng.uniform(0, 9, 40), 3)
        for sg in (1.0, 0.35):
            f.put(f"gaussian_rbf_sigma{sg}", input=d, out=enc.gaussian_rbf(tt(d, D), sg).numpy())
            f.describe(f"gaussian_rbf_sigma{sg}", call=f"gaussian_rbf(input, sigma={sg})")
        a, b = rng.normal(size=(2, 40))
        f.put("euclidean_distance", x=a, y=b, out=enc.euclidean_distance(tt(a, D), tt(b, D)).numpy())
        f.describe("euclidean_distance", call="euclidean_distance(x, y): the SQUARED difference, elementwise")
        v = np.round(rng.uniform(0, 2.5, (6, 3)), 3)
        for case, kw in (
            ("default", {}),
            ("scale", dict(scale=4.0)),
            ("scale_int", dict(scale=2)),
            ("narrow_kernel", dict(scale=3.0, kernel=lambda t: enc.gaussian_rbf(t, 0.25))),
        ):
            for td, dn in ((D, "f64"), (torch.float32, "f32")):
                o = enc.population_encode(tt(v, td), 11, **kw)
                f.put(f"population_{case}_{dn}", input=v, out=o.numpy())
                f.describe(
                    f"population_{case}_{dn}",
                    call=f"population_encode(input, out_features=11, {case})",
                    dtype=dn,
                    scale=kw.get("scale", "input.max()"),
                    sigma=0.25 if "kernel" in kw else 1.0,
                )
        q = np.array([0.0, 0.001, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.5])
        sq = np.array([-1.5, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 1.5])
        for case, fn, val, fmax, dt, step in (
            ("poisson_default", enc.poisson_encode, q, 100, 0.001, False),
            ("poisson_f500_dt0.5ms", enc.poisson_encode, q, 500, 0.0005, False),
            ("poisson_step_default", enc.poisson_encode_step, q, 1000, 0.001, True),
            ("signed_default", enc.signed_poisson_encode, sq, 100, 0.001, False),
            ("signed_f800", enc.signed_poisson_encode, sq, 800, 0.001, False),
            ("signed_step_default", enc.signed_poisson_encode_step, sq, 1000, 0.001, True),
        ):
            g = torch.Generator().manual_seed(int(next(S)))
            n = 40_000
            if step:
                o = fn(tt(np.tile(val, (n, 1)), torch.float32), fmax, dt, generator=g)
            else:
                o = fn(tt(val, torch.float32), n, fmax, dt, generator=g)
            o = o.numpy()
            prob = np.clip(np.abs(val) * fmax * dt, 0, 1)
            f.put(
                case,
                input=val,
                expected_probability=prob,
                expected_sign=np.sign(val),
                observed_mean=o.mean(0, dtype=np.float64),
                observed_values=np.unique(o),
            )
            f.describe(
                case,
                call=f"{fn.__name__}(input, f_max={fmax}, dt={dt})",
                samples=n,
                max_deviation_in_standard_errors=float(
                    np.max(
                        np.abs(np.abs(o.mean(0, dtype=np.float64)) - prob)
                        / np.sqrt(np.maximum(prob * (1 - prob), 1e-12) / n)
                        * (prob * (1 - prob) > 0)
                    )
                ),
            )
        f.save(versions)

    if want("decode"):
        f = File("decode", out, "sum_decode and SpikesToTimesDecoder")
        rng = np.random.default_rng(next(S))
        s = (rng.random((60, 3, 7)) < np.linspace(0, 0.2, 21).reshape(3, 7)).astype(float)
        for d in (0, 1, 2):
            f.put(f"sum_dim{d}", input=s.astype(np.uint8), out=dec.sum_decode(tt(s, D), d).numpy())
            f.describe(f"sum_dim{d}", call=f"sum_decode(input, {d})")
        for k in (1, 3, 100):
            for conv in (True, False):
                o = SpikesToTimesDecoder(torch.as_tensor(k), conv, 1e-3)(tt(s, torch.float32))
                f.put(f"times_count{k}_{'s' if conv else 'index'}", input=s.astype(np.uint8), out=o.numpy())
                f.describe(
                    f"times_count{k}_{'s' if conv else 'index'}",
                    shape=list(o.shape),
                    call=f"SpikesToTimesDecoder(spike_count={k}, convert_indices_to_times={conv}, dt=1e-3)(input (time, batch, out)); inf = no spike",
                )
        f.save(versions)

    if want("receptive_field"):
        f = File(
            "receptive_field",
            out,
            "spatial kernels as norse 1.1.0 makes them (float32), temporal fields, covariance, scale distribution",
        )
        rng = np.random.default_rng(next(S))
        f32 = torch.float32
        sets = [
            (1.0, 0.0, 1.0, 0, 0),
            (2.0, 0.5, 0.5, 0, 0),
            (2.0, 0.5, 0.5, 1, 0),
            (2.0, 0.5, 0.5, 0, 1),
            (1.5, 1.2, 0.7, 1, 1),
            (3.0, 2.4, 1.8, 2, 0),
            (1.0, 0.3, 0.4, 0, 2),
        ]
        prm = torch.tensor(sets)
        for size, dom in ((9, 8.0), (13, 5.0), (8, 8.0)):
            k = rf.spatial_receptive_fields_with_derivatives(prm, size, dom)
            f.put(f"spatial_{size}_domain{dom:g}", parameters=np.array(sets), kernels=k.numpy())
            f.describe(
                f"spatial_{size}_domain{dom:g}",
                dtype="f32",
                size=size,
                domain=dom,
                call="spatial_receptive_fields_with_derivatives(rows of scale, angle, ratio, dx, dy)",
            )
        cov = np.stack(
            [rf.covariance_matrix(a, b, c).numpy() for a, b, c in ((1.0, 1.0, 0.0), (2.0, 0.5, 0.7), (0.4, 2.5, 2.9))]
        )
        f.put(
            "covariance",
            sigma1=np.array([1.0, 2.0, 0.4]),
            sigma2=np.array([1.0, 0.5, 2.5]),
            phi=np.array([0.0, 0.7, 2.9]),
            out=cov,
        )
        f.describe("covariance", call="covariance_matrix(sigma1, sigma2, phi)", dtype="f32")
        for n, kw in (
            ("default4", dict(n_scales=4)),
            ("c1.2_6", dict(n_scales=6, c=1.2)),
            ("range_5", dict(n_scales=5, min_scale=1.0, max_scale=20.0)),
            ("single", dict(n_scales=1, min_scale=4.0, max_scale=9.0)),
        ):
            f.put(f"scales_{n}", out=rf.temporal_scale_distribution(**kw).numpy())
            f.describe(f"scales_{n}", call=f"temporal_scale_distribution({kw})", dtype="f32")
        sp = rf.spatial_parameters(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.8]), torch.tensor([0.5, 1.0]), 1)
        f.put("spatial_parameters", out=sp.numpy())
        f.describe(
            "spatial_parameters",
            call="spatial_parameters(scales [1,2], angles [0,.8], ratios [.5,1], derivatives 1); ratio-1 rows come last, angles kept",
        )
        stp = rf.spatio_temporal_parameters
        x = (rng.random((3, 2, 16, 16)) < 0.1).astype(float)
        m = snn.SpatialReceptiveField2d(2, 9, prm, optimize_fields=False, padding=4)
        f.put(
            "module",
            input=x.astype(np.uint8),
            parameters=np.array(sets),
            out=m(tt(x, f32)).detach().numpy(),
            weights=m.weights.detach().numpy(),
        )
        f.describe(
            "module",
            call="SpatialReceptiveField2d(in_channels=2, size=9, parameters, aggregate=True, padding=4)(input)",
            dtype="f32",
        )
        ms = snn.SampledSpatialReceptiveField2d(
            2,
            9,
            torch.tensor([1.0, 2.0]),
            torch.tensor([0.0, 0.8]),
            torch.tensor([0.5, 1.0]),
            1,
            optimize_scales=False,
            optimize_angles=False,
            optimize_ratios=False,
        )
        f.put("sampled_module", input=x.astype(np.uint8), out=ms(tt(x, f32)).detach().numpy()[:1])
        f.describe(
            "sampled_module",
            call="SampledSpatialReceptiveField2d(2, 9, [1,2], [0,.8], [.5,1], derivatives=1)(input); first batch element stored",
            dtype="f32",
        )
        try:
            snn.SpatialReceptiveField2d(2, 9, prm, aggregate=False)
            f.meta["aggregate_False"] = "works"
        except Exception as e:
            f.meta["aggregate_False"] = f"raises {type(e).__name__}: {e}"
        for n, kw in (
            ("default", {}),
            ("range", dict(min_scale=2.0, max_scale=40.0)),
            ("dt0.5ms", dict(n_scales=3, dt=0.0005)),
            ("constants", dict(n_scales=2, time_constants=torch.tensor([[[100.0]], [[500.0]]]))),
        ):
            t = snn.TemporalReceptiveField((2, 5), **kw)
            xs = (rng.random((T, 2, 5)) < 0.15).astype(float)
            st, o = None, []
            with torch.no_grad():
                for k in range(T):
                    y, st = t(tt(xs[k], f32), st)
                    o.append(y.numpy().copy())
            f.put(f"temporal_{n}", input=xs.astype(np.uint8), out=np.stack(o), tau_mem_inv=t.ps.detach().numpy())
            f.describe(
                f"temporal_{n}",
                call=f"TemporalReceptiveField(shape=(2, 5), {sorted(kw)}) stepped; out is (tick, scale, channel, 5)",
                dtype="f32",
                dt=kw.get("dt", 0.001),
            )
        f.save(versions)

    if want("lconv2d"):
        f = File("lconv2d", out, "2d convolution applied to every tick")
        rng = np.random.default_rng(next(S))
        for n, kw, ci, co in (
            ("k3", dict(kernel_size=3), 2, 4),
            ("k3_stride2_pad1", dict(kernel_size=3, stride=2, padding=1), 2, 4),
            ("k5x3_dil2", dict(kernel_size=(5, 3), dilation=2, padding=(4, 2)), 2, 3),
            ("groups2", dict(kernel_size=3, groups=2), 4, 4),
        ):
            m = snn.LConv2d(ci, co, **kw).double()
            w = np.round(rng.normal(0, 0.4, tuple(m.weight.shape)) * 1024) / 1024
            m.weight.data = tt(w, D)
            x = (rng.random((12, 2, ci, 11, 12)) < 0.2).astype(float)
            f.put(n, input=x.astype(np.uint8), weight=w, out=m(tt(x, D)).detach().numpy())
            f.describe(
                n,
                call=f"LConv2d({ci}, {co}, {kw})(input (T, B, C, H, W)); weight is (out, in/groups, kh, kw, 1), no bias",
                dtype="f64",
            )
        f.save(versions)

    if want("exp_filter"):
        f = File("exp_filter", out, "exponential filter of ticks (not in the seed list, cheap to have)")
        rng = np.random.default_rng(next(S))
        for n, tau in (("default", 1e3), ("slow", 50.0)):
            w = weights(rng, 4, 6, 0.5)
            m = ExpFilter(6, 4, tau_filter_inv=tau, input_weights=tt(w, torch.float32), bias=False)
            x = spike_input(rng, T, 6)
            f.put(n, input=x.astype(np.uint8), weight=w, out=m(tt(x, torch.float32)).detach().numpy())
            f.describe(n, call=f"ExpFilter(6, 4, tau_filter_inv={tau}, dt=1e-3, bias=False)", dtype="f32")
        f.save(versions)


# ---------------------------------------------------------------- jaxsnn
def jaxsnn_encode(out, versions, T=300, seed=22_001):
    import jax
    import jax.numpy as jnp
    from jaxsnn.discrete.encode import constant_current_lif_encode, lif_current_encoder, one_hot, spatio_temporal_encode
    from jaxsnn.discrete.modules.lif import LIFParameters

    f = File(
        "jaxsnn_encode",
        out,
        "jaxsnn.discrete.encode; QUIRK: v == v_th gives a spike value of 0.5 (heaviside from sign)",
    )
    rng = np.random.default_rng(seed)
    for x64 in (False, True):
        jax.config.update("jax_enable_x64", x64)
        tag, fl = ("f64", np.float64) if x64 else ("f32", np.float32)
        x = np.round(rng.uniform(-1, 20, 24) * 64) / 64
        x[:6] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
        v, z = constant_current_lif_encode(jnp.asarray(x, fl), T)
        f.put(f"constant_current_{tag}", input=x, z=np.asarray(z), final_v=np.asarray(v))
        f.describe(
            f"constant_current_{tag}",
            call="constant_current_lif_encode(input, ticks) -> (final v, z (ticks, n)); fixed default parameters, dt 0.001",
            rate=float(np.mean(z)),
            dt=0.001,
            dtype=tag,
        )
        for case, p, dt in (
            ("default", LIFParameters(), 0.001),
            ("custom", LIFParameters(tau_mem=0.025, v_th=0.8, v_leak=0.1, v_reset=-0.2), 0.0005),
        ):
            cur = np.round((rng.uniform(0.2, 4, (1, 16)) + rng.normal(0, 0.6, (T, 16))) * 64) / 64
            v, vs, zs = jnp.full(16, p.v_leak, fl), [], []
            for t in range(T):
                v, z = lif_current_encoder(v, jnp.asarray(cur[t], fl), p, dt)
                vs.append(np.asarray(v))
                zs.append(np.asarray(z))
            f.put(
                f"lif_current_encoder_{case}_{tag}",
                input=cur.astype(np.float32),
                v=np.stack(vs),
                z=np.stack(zs).astype(np.float32),
            )
            f.describe(
                f"lif_current_encoder_{case}_{tag}",
                call="lif_current_encoder(v, input[t], params, dt) -> (v, z): note the order",
                dt=dt,
                dtype=tag,
                rate=float(np.mean(zs)),
                params={k: float(getattr(p, k)) for k in ("tau_syn", "tau_mem", "v_th", "v_leak", "v_reset")},
            )
    jax.config.update("jax_enable_x64", False)
    # exact tie
    v, z = lif_current_encoder(jnp.array([0.6, 0.5, 0.7]), jnp.array([0.6, 0.5, 0.7]))
    f.put(
        "tie",
        v_before=np.array([0.6, 0.5, 0.7], np.float32),
        input=np.array([0.6, 0.5, 0.7], np.float32),
        v=np.asarray(v),
        z=np.asarray(z),
    )
    f.describe("tie", call="lif_current_encoder at v == v_th exactly: z = 0.5, v = v - 0.5 (v - v_reset)")
    lab = np.array([0, 3, 2, 9, -1, 4])
    f.put("one_hot", input=lab, out=np.asarray(one_hot(jnp.asarray(lab), 5)))
    f.describe("one_hot", call="one_hot(input, 5): labels outside 0..4 give an all-zero row")
    for n, val, s, late, dt in (
        ("1d", rng.uniform(0, 1, 20), 40, 0.03, 0.001),
        ("2d", rng.uniform(0, 1, (7, 4)), 30, 0.02, 0.001),
        ("edges", np.array([0.0, 0.5, 0.55, 1.0, 1.2, 3.0, -0.2]), 10, 0.01, 0.001),
        ("dt0.5ms", rng.uniform(0, 1, 20), 60, 0.03, 0.0005),
    ):
        o = np.asarray(spatio_temporal_encode(jnp.asarray(val, jnp.float32), s, late, dt))
        f.put(f"spatio_temporal_{n}", input=val.astype(np.float32), out=o.astype(np.uint8))
        f.describe(
            f"spatio_temporal_{n}",
            call=f"spatio_temporal_encode(input, seq_length={s}, t_late={late}, dt={dt})",
            shape=list(o.shape),
            dt=dt,
        )
    f.save(versions)


def versions_of(*names):
    from importlib.metadata import version

    v = {"python": sys.version.split()[0]}
    for n in names:
        v[n] = version(n)
    return v


def defaults_json(out):
    """Every parameter default and module initial state, read at run time."""
    import torch
    import norse.torch as snn
    import norse.torch.functional as F
    import importlib

    d = {}
    for mod, cls in (
        ("lif", "LIFParameters"),
        ("lif_box", "LIFBoxParameters"),
        ("iaf", "IAFParameters"),
        ("leaky_integrator", "LIParameters"),
        ("leaky_integrator_box", "LIBoxParameters"),
        ("coba_lif", "CobaLIFParameters"),
        ("lif_adex", "LIFAdExParameters"),
        ("lif_ex", "LIFExParameters"),
        ("lif_refrac", "LIFRefracParameters"),
        ("lif_adex_refrac", "LIFAdExRefracParameters"),
        ("lsnn", "LSNNParameters"),
        ("correlation_sensor", "CorrelationSensorParameters"),
        ("stdp_sensor", "STDPSensorParameters"),
        ("tsodyks_makram", "TsodyksMakramParameters"),
    ):
        p = getattr(importlib.import_module(f"norse.torch.functional.{mod}"), cls)()
        d[cls] = {k: (v if isinstance(v, str) else float(shortest(v))) for k, v in flat_params(p).items()}
    from norse.torch.functional import coba_lif, lif, stdp

    d["LIF default_bio_parameters"] = {
        k: (v if isinstance(v, str) else float(shortest(v))) for k, v in flat_params(lif.default_bio_parameters).items()
    }
    d["CobaLIF default_bio_parameters"] = {
        k: (v if isinstance(v, str) else float(shortest(v)))
        for k, v in flat_params(coba_lif.default_bio_parameters).items()
    }
    d["STDPParameters"] = {
        k: (float(v) if not isinstance(v, (str, bool)) else v)
        for k, v in vars(stdp.STDPParameters()).items()
        if not callable(v)
    }
    x = torch.zeros(1, 4)
    xt = torch.zeros(3, 1, 4)
    init = {}
    for n, m, a in (
        ("LIFCell", snn.LIFCell(), x),
        ("LIFRecurrentCell", snn.LIFRecurrentCell(4, 5), x),
        ("LIF", snn.LIF(), xt),
        ("LIFRecurrent", snn.LIFRecurrent(4, 5), xt),
        ("LIFBoxCell", snn.LIFBoxCell(), x),
        ("IAFCell", snn.IAFCell(), x),
        ("LICell", snn.LICell(), x),
        ("LI", snn.LI(), xt),
        ("LIBoxCell", snn.LIBoxCell(), x),
        ("LIFAdExCell", snn.LIFAdExCell(), x),
        ("LIFAdExRecurrentCell", snn.LIFAdExRecurrentCell(4, 5), x),
        ("LIFExCell", snn.LIFExCell(), x),
        ("LIFRefracCell", snn.LIFRefracCell(), x),
        ("LIFRefracRecurrentCell", snn.LIFRefracRecurrentCell(4, 5), x),
        ("LSNNCell", snn.LSNNCell(), x),
        ("LSNNRecurrentCell", snn.LSNNRecurrentCell(4, 5), x),
        ("LIFMCRecurrentCell", snn.LIFMCRecurrentCell(4, 5), x),
        ("LIFMCRefracRecurrentCell", snn.LIFMCRefracRecurrentCell(4, 5), x),
        ("LIFAdExRefracCell", snn.LIFAdExRefracCell(), x),
        ("IzhikevichCell tonic_spiking", snn.IzhikevichCell(snn.tonic_spiking), x),
        ("IzhikevichRecurrentCell tonic_spiking", snn.IzhikevichRecurrentCell(4, 5, snn.tonic_spiking), x),
    ):
        s = m.initial_state(a)
        init[n] = {
            k: {"shape": list(v.shape), "value": float(v.reshape(-1)[0]), "dtype": str(v.dtype)}
            for k, v in flat(s).items()
        }
    d["module initial states (input (1, 4), hidden 5)"] = init
    (Path(out) / "defaults.json").write_text(json.dumps(d, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("part", choices=["norse", "jaxsnn"])
    ap.add_argument("--out", default=str(HERE))
    ap.add_argument("--only", nargs="*")
    a = ap.parse_args()
    if a.part == "norse":
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(1)
        V = versions_of("norse", "torch", "numpy")
        norse_models(a.out, V, only=a.only)
        norse_rest(a.out, V, only=a.only)
        if not a.only:
            defaults_json(a.out)
    else:
        jaxsnn_encode(a.out, versions_of("jaxsnn", "jax", "jaxlib", "numpy"))
