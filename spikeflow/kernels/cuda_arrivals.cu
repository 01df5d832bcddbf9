// What acts in a tick: events through their delays, values that are held, and states that are coupled.

// The first event from `next` on that lies at `end` or later: in steps that double, then halve.
__device__ integer first_at(const integer *time, integer next, integer count, integer end) {
    integer step = 1;
    for (; next + step <= count && time[next + step - 1] < end; step *= 2) next += step;
    for (; step > 0; step /= 2)
        if (next + step <= count && time[next + step - 1] < end) next += step;
    return next;
}

// Writes beside the cursor of each delay where the events of this tick end.
__device__ void look_ahead(const Net &net, const integer *projection, integer tick, integer *cursor) {
    const integer *head = net.table, *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    const integer *delay = net.table + projection[P_DELAY];
    for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) {
        const integer end = head[H_ORIGIN] + (tick - delay[2 * d] + 1) * head[H_STEP];
        cursor[2 * d + 1] = first_at(net.time + source[S_OFFSET], cursor[2 * d], source[S_COUNT], end);
    }
    __syncthreads();  // D: the ends are known
}

__device__ __forceinline__ bool takes(const Net &net, const integer *projection, integer d, unsigned neuron) {
    return projection[P_MEMBER] < 0 || net.post[projection[P_MEMBER] + neuron % projection[P_PRE]] == d;
}

__device__ __forceinline__ double value_of(const Net &net, const integer *source, integer event) {
    return source[S_VALUE] >= 0 ? net.value[source[S_VALUE] + event] : 1.0;
}

__device__ __forceinline__ unsigned long long key_of(unsigned neuron, integer d) {
    return (unsigned long long)neuron << 32 | (unsigned long long)d;
}

// What acts in this tick of those that hold their last value, and, once all blocks know it, how far they are read.
__device__ void hold_samples(const Net &net, const integer *projection, integer tick, integer *cursor) {
    const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    look_ahead(net, projection, tick, cursor);
    bool any = false;
    for (integer d = 0; d < projection[P_DELAYS]; d++) any = any || cursor[2 * d] < cursor[2 * d + 1];
    if (!any) return;
    if (blockIdx.x == 0) {
        double *held = net.held + projection[P_HELD];
        for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) {
            for (integer event = cursor[2 * d]; event < cursor[2 * d + 1]; event++) {
                const unsigned neuron = net.index[source[S_OFFSET] + event];
                if (takes(net, projection, d, neuron))
                    held[d * projection[P_ALL] + neuron] = value_of(net, source, event);
            }
        }
    }
    meet(net);  // 3: the values are held
    for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) cursor[2 * d] = cursor[2 * d + 1];
}

// Up to PICKS events of the only delay, which are in order.
__device__ int pick_next(const Net &net, const integer *projection, integer *cursor, bool &more, Shared &shared) {
    const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    const integer next = cursor[0], left = cursor[1] - next;
    more = left > PICKS;
    const int many = more ? PICKS : (int)left;
    for (int k = threadIdx.x; k < many; k += blockDim.x)
        shared.picked[k] = Arrival{net.index[source[S_OFFSET] + next + k], 0, value_of(net, source, next + k)};
    __syncthreads();  // E: they are picked, and every thread knows where they began
    if (threadIdx.x == 0) cursor[0] = next + many;
    return many;
}

// Finds the events of this tick, a part of the block's threads for each delay; counts them all, and keeps up to PICKS.
__device__ void find_events(const Net &net, const integer *projection, const integer *cursor, Shared &shared) {
    const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    const Team team = team_of_threads();
    for (integer d = team.place; d < projection[P_DELAYS]; d += team.teams) {
        for (integer event = cursor[2 * d] + team.lane; event < cursor[2 * d + 1]; event += team.width) {
            const unsigned neuron = net.index[source[S_OFFSET] + event];
            if (!takes(net, projection, d, neuron)) continue;
            const int at = atomicAdd(&shared.many, 1);
            if (at < PICKS) shared.found[at] = Found{key_of(neuron, d), event};
        }
    }
}

// PICKS events by one thread, where more than that act at once: the lists of the delays are merged.
__device__ void merge_events(const Net &net, const integer *projection, integer *cursor, Shared &shared) {
    const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    const unsigned *index = net.index + source[S_OFFSET];
    for (int many = 0; many < PICKS; many++) {
        integer chosen = -1;
        for (integer d = 0; d < projection[P_DELAYS]; d++) {
            integer &next = cursor[2 * d];
            while (next < cursor[2 * d + 1] && !takes(net, projection, d, index[next])) next++;
            if (next == cursor[2 * d + 1]) continue;
            if (chosen < 0 || index[next] < index[cursor[2 * chosen]]) chosen = d;
        }
        const integer event = cursor[2 * chosen]++;
        shared.picked[many] = Arrival{index[event], (int)chosen, value_of(net, source, event)};
    }
}

// Finds which of the values `from` to before `end` are not zero; they count neurons and, within a neuron, delays.
template <class real>
__device__ void find_values(
    const Net &net, const integer *projection, const integer *group, real *reals, integer from, integer end,
    Shared &shared) {
    const integer delays = projection[P_STATE] >= 0 ? 1 : projection[P_DELAYS];
    for (integer k = from + threadIdx.x; k < end; k += blockDim.x) {
        const integer neuron = k / delays, d = k % delays;
        const bool acts = projection[P_STATE] >= 0
                              ? *cell_of(reals, group, projection[P_STATE], neuron) != 0
                              : net.held[projection[P_HELD] + d * projection[P_ALL] + neuron] != 0;
        if (acts) shared.found[atomicAdd(&shared.many, 1)] = Found{key_of((unsigned)neuron, d), 0};
    }
}

// Puts what was found in order: each counts those before it.
template <class real>
__device__ void put_in_order(
    const Net &net, const integer *projection, const integer *group, real *reals, int many, Shared &shared) {
    const Found *found = shared.found;
    for (int k = threadIdx.x; k < many; k += blockDim.x) {
        int before = 0;
        for (int j = 0; j < many; j++)
            before += found[j].key < found[k].key || (found[j].key == found[k].key && found[j].event < found[k].event);
        const unsigned neuron = (unsigned)(found[k].key >> 32);
        const int d = (int)(unsigned)found[k].key;
        double value;
        if (projection[P_STATE] >= 0) value = *cell_of(reals, group, projection[P_STATE], neuron);
        else if (projection[P_HELD] >= 0) value = net.held[projection[P_HELD] + d * projection[P_ALL] + neuron];
        else value = value_of(net, row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]), found[k].event);
        shared.picked[before] = Arrival{neuron, d, value};
    }
}

// Picks up to PICKS of what acts in this tick, in order: presynaptic neurons ascending, then delays, then as they came.
template <class real>
__device__ int pick(
    const Net &net, const integer *projection, const integer *group, real *reals, integer *cursor, integer &from,
    bool &more, Shared &shared) {
    const bool lasting = projection[P_STATE] >= 0 || projection[P_HELD] >= 0;
    if (!lasting && projection[P_DELAYS] == 1) return pick_next(net, projection, cursor, more, shared);
    if (threadIdx.x == 0) shared.many = 0;
    __syncthreads();  // F: nothing is found yet
    if (lasting) {
        const integer all = projection[P_ALL] * (projection[P_STATE] >= 0 ? 1 : projection[P_DELAYS]);
        const integer end = from + PICKS < all ? from + PICKS : all;
        find_values(net, projection, group, reals, from, end, shared);
        more = end < all;
        from = end;
    } else {
        find_events(net, projection, cursor, shared);
    }
    __syncthreads();  // G: all is found
    const int many = shared.many;
    if (!lasting) more = many > PICKS;
    if (!lasting && more) {
        if (threadIdx.x == 0) merge_events(net, projection, cursor, shared);
    } else {
        put_in_order(net, projection, group, reals, many, shared);
        if (!lasting)
            for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) cursor[2 * d] = cursor[2 * d + 1];
    }
    __syncthreads();  // H: they are picked
    return many < PICKS ? many : PICKS;
}
