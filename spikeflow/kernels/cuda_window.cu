// A tick of a population, what synapses learn in it, and a window of ticks.

// ---- one tick of one population

// Moves the block's neurons and lists those that spike, ascending.
__device__ void move_group(const Net &net, integer place, integer tick, Shared &shared) {
    const integer *group = row_of(net, H_GROUP, GROUP, place);
    const Own own = own_neurons(net, place);
    unsigned *fired = net.fired + net.plan[PLAN + place * SPREAD + X_FIRED] + own.first;
    integer count = 0;
    for (integer first = own.first; first < own.end; first += blockDim.x) {
        const integer n = first + threadIdx.x;
        bool lost = false, moved = false;
        const bool spikes = n < own.end && move(net, group, n, tick, lost, moved);
        if (moved) stir(shared, tick);
        if (lost) atomicMin(lost_at(net, tick), (unsigned long long)place);
        count = list_spikes(n, spikes, fired, count, shared);
    }
    integer *counts = counts_of(net, place) + blockIdx.x * net.plan[X_COUNTS];
    if (threadIdx.x == 0) counts[1] = count, counts[0] = row_of(net, H_SOURCE, SOURCE, place)[S_COUNT];
}

// How many ticks below `tick` are multiples of `every`.
__device__ __forceinline__ integer multiples(integer tick, integer every) { return (tick + every - 1) / every; }

// Samples the block's neurons among those that are recorded.
template <class real>
__device__ void record(const Net &net, const integer *group, const integer *row, real *reals, integer tick) {
    const Own own = own_neurons(net, row[R_GROUP]);
    const integer done = multiples(tick, row[R_EVERY]) - multiples(net.table[H_TICK], row[R_EVERY]);
    double *out = net.recorded + row[R_OUT] + done * row[R_NEURONS];
    for (integer k = threadIdx.x; k < row[R_NEURONS]; k += blockDim.x) {
        const integer n = net.post[row[R_NEURON] + k];
        if (n >= own.first && n < own.end) out[k] = *cell_of(reals, group, row[R_ROW], n);
    }
}

// What a population does with what was written down before.
__device__ void step_group(const Net &net, integer place, integer tick, Shared &shared) {
    const integer *group = row_of(net, H_GROUP, GROUP, place);
    const bool wide = is_double(group[G_FORM]);
    const Own own = own_neurons(net, place);
    if (deliver_listed(net, group[G_LIST], group[G_LISTED], wide, tick, own, shared) && threadIdx.x == 0) stir(shared, tick);
    move_group(net, place, tick, shared);
}

// What acts on the state after the equations, and what is recorded of it.
__device__ void settle_group(const Net &net, integer place, integer tick, Shared &shared) {
    const integer *head = net.table, *group = row_of(net, H_GROUP, GROUP, place);
    const bool wide = is_double(group[G_FORM]);
    const Own own = own_neurons(net, place);
    if (deliver_listed(net, group[G_AFTER], group[G_AFTERS], wide, tick, own, shared) && threadIdx.x == 0) stir(shared, tick);
    if (group[G_AFTERS] > 0) __syncthreads();  // R: the state that is recorded stands still
    bool recorded = false;
    for (integer r = 0; r < head[H_RECORDS]; r++) {
        const integer *row = row_of(net, H_RECORD, RECORD, r);
        if (row[R_GROUP] != place || tick % row[R_EVERY] != 0) continue;
        if (wide) record(net, group, row, net.real64, tick);
        else record(net, group, row, net.real32, tick);
        recorded = true;
    }
    if (recorded) __syncthreads();  // S: the state may move again
}

// ---- what synapses learn in one tick

// The place of a neuron's first state among the numbers of its precision.
__device__ __forceinline__ integer place_of(const integer *group, integer neuron) {
    return group[G_BASE] + neuron / TILE * group[G_ROWS] * TILE + neuron % TILE;
}

// Changes the synapses of a projection, from the traces as they are after this tick: a row of them in each block.
__device__ void learn(const Net &net, integer place, integer tick) {
    const integer *learning = row_of(net, H_LEARNING, LEARNING, place);
    const integer *projection = row_of(net, H_PROJECTION, PROJECTION, learning[L_PROJECTION]);
    const integer *before = row_of(net, H_GROUP, GROUP, learning[L_PRE]);
    const integer *after = row_of(net, H_GROUP, GROUP, learning[L_POST]);
    const integer first = projection[P_WEIGHT];
    bool lost = false;
    for (integer row = blockIdx.x; row < before[G_SIZE]; row += gridDim.x) {
        integer begin = threadIdx.x, end = after[G_SIZE];
        if (projection[P_KIND] == ONE_TO_ONE) {
            begin = row / gridDim.x % blockDim.x == threadIdx.x ? row : end;
            end = row + 1;
        }
        if (projection[P_KIND] == CSR) {
            const integer *starts = net.start + projection[P_START] + row;
            begin += starts[0], end = starts[1];
        }
        for (integer k = begin; k < end; k += blockDim.x) {
            const integer neuron = projection[P_KIND] == CSR ? net.post[projection[P_POST] + k] : k;
            const integer at = projection[P_KIND] == DENSE ? row * projection[P_STRIDE] + k : k;
            const integer from = place_of(before, row), to = place_of(after, neuron);
            if (change(net, learning, first + at, learning[L_STATE] + at, from, to)) lost = true;
        }
    }
    if (lost) atomicMin(lost_at(net, tick), (unsigned long long)(net.table[H_GROUPS] + place));
}

// ---- a window

// The first population that may have no room for the spikes of another tick, or -1.
__device__ integer full_source(const Net &net) {
    for (integer place = 0; place < net.table[H_SOURCES]; place++) {
        const integer *source = row_of(net, H_SOURCE, SOURCE, place);
        if (source[S_KEPT] && source[S_CAPACITY] - source[S_COUNT] < source[S_SIZE]) return place;
    }
    return -1;
}

// Takes how far each delay is read from the table to the block's cursors, or back from the block that knows it best:
// the one with the target's first neuron. A part of the block's threads for each projection.
__device__ void copy_cursors(const Net &net, bool back) {
    const Team team = team_of_threads();
    for (integer p = team.place; p < net.table[H_PROJECTIONS]; p += team.teams) {
        const integer *projection = row_of(net, H_PROJECTION, PROJECTION, p);
        const Own own = own_neurons(net, projection[P_TARGET]);
        if (projection[P_HELD] < 0 && own.first == own.end) continue;
        integer *delay = net.table + projection[P_DELAY], *cursor = cursors_of(net, p);
        for (integer d = team.lane; d < projection[P_DELAYS]; d += team.width) {
            if (!back) cursor[2 * d] = delay[2 * d + 1];
            else if (own.first == 0 && own.end > 0) delay[2 * d + 1] = cursor[2 * d];
        }
    }
}

// One tick of all populations, a level of them after the other: what is in a level acts on the others of it only later.
__device__ void step_tick(const Net &net, integer tick, Shared &shared) {
    const integer *table = net.table, *order = table + table[H_ORDER];
    integer begin = 0;
    for (integer level = 0; level < net.plan[X_LEVELS]; level++) {
        const integer end = net.plan[net.plan[X_ENDS] + level];
        for (integer g = begin; g < end; g++) step_group(net, order[g], tick, shared);
        meet(net);  // 6: all have moved
        for (integer g = begin; g < end; g++) write_spikes(net, order[g], tick, 1, shared);
        meet(net);  // 7: their spikes are written down
        for (integer g = begin; g < end; g++) settle_group(net, order[g], tick, shared);
        begin = end;
    }
    bool learns = false;
    for (integer k = 0; k < table[H_LEARNINGS]; k++) {
        if (tick >= row_of(net, H_LEARNING, LEARNING, k)[L_UNTIL]) continue;
        learn(net, k, tick);
        learns = true;
    }
    if (learns) meet(net);  // 8: the traces may move again
}

// Says whether every tile rests: at the last tick at which states were looked at nothing moved, and nothing has arrived
// since. Then the host launches nothing before the next event.
__device__ void note_rest(const Net &net, integer tick) {
    integer *table = net.table;
    const integer looked = (tick - 1) / FLUSH_EVERY * FLUSH_EVERY;
    const integer stirred = (integer)((unsigned long long *)net.work)[W_STIRRED];  // one more than the tick
    const bool rests = table[H_SKIP] && tick > table[H_TICK] && looked >= table[H_TICK] && stirred <= looked;
    for (integer place = 0; place < table[H_GROUPS]; place++) {
        integer *group = row_of(net, H_GROUP, GROUP, place);
        group[G_RESTING] = rests ? group[G_TILES] : 0;
    }
}

// Steps ticks H_TICK to H_PAUSE, or stops before a tick that there may be no room for, or before the first with a reason.
__device__ void step_window(const Net &net, Shared &shared) {
    integer *table = net.table;
    const unsigned long long none = ~0ULL;
    if (is_first_thread()) {
        unsigned long long *words = (unsigned long long *)net.work;
        words[W_FOUND] = words[W_LOST] = words[W_LOST + 1] = none;
        words[W_STIRRED] = 0;
    }
    if (threadIdx.x == 0) shared.stirred = 0;
    for (unsigned w = threadIdx.x; w < 32; w += blockDim.x) shared.spiked[w] = 0;
    meet(net);  // 9: nothing is found, nothing is lost
    if (table[H_FRESH]) {
        const integer refused = check_events(net);
        if (refused >= 0) {
            if (is_first_thread()) table[H_STATUS] = refused % 2 ? UNORDERED : INVALID, table[H_DETAIL] = refused / 2;
            return;
        }
        drop_read(net, shared);
    }
    copy_cursors(net, false);
    __syncthreads();  // W: the cursors are set
    unsigned long long lost = none;
    integer tick = table[H_TICK], full;
    Way way = {};
    const bool hands = net.plan[X_HAND] > 1;
    if (hands) {
        way = step_hands(net, shared);
        tick = way.tick, full = way.full, lost = way.lost;
    }
    for (; !hands; tick++) {
        full = full_source(net);
        if (tick == table[H_PAUSE] || full >= 0 || lost != none) break;
        step_tick(net, tick, shared);
        lost = *lost_at(net, tick);
    }
    if (hands || tick > table[H_TICK]) copy_cursors(net, true);  // else other blocks may still take theirs
    // a barrier stands between what stirs and here: P, or those of `list_spikes`
    if (threadIdx.x == 0) atomicMax((unsigned long long *)net.work + W_STIRRED, shared.stirred);
    meet(net);  // 10: every thread knows how far they came
    if (!is_first_thread()) return;
    note_rest(net, tick);
    for (integer r = 0; r < table[H_RECORDS]; r++) {
        integer *row = row_of(net, H_RECORD, RECORD, r);
        row[R_OUT] += (multiples(tick, row[R_EVERY]) - multiples(table[H_TICK], row[R_EVERY])) * row[R_NEURONS];
    }
    if (hands) table[H_FOUND] = way.found, table[H_AT] = way.level, table[H_END] = way.end;
    if (lost != none && hands) {
        table[H_STATUS] = LOST, table[H_DETAIL] = (integer)(lost >> 32 & 0xfffff);
        table[H_NEURON] = (integer)(lost & 0xffffffff);
        tick += (integer)(lost >> 52);
    } else if (lost != none) table[H_STATUS] = LOST, table[H_DETAIL] = (integer)lost, tick--;
    else if (tick < table[H_PAUSE]) table[H_STATUS] = FULL, table[H_DETAIL] = full;
    table[H_TICK] = tick;
    table[H_FRESH] = 0;
}
