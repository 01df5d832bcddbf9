// What arrives, times the weights, is added up at the receptors.
//
// Weights are read as they are stored (`kept`): in the precision of their population, or as the bits of a float16, half
// the bytes, which are widened on the way. That is exact, so it takes no part in the order of a sum.

__device__ __forceinline__ float widened(float weight) { return weight; }
__device__ __forceinline__ double widened(double weight) { return weight; }

// In whole numbers, because a float32 below its normal ones is slow on some processors and zero on others.
__device__ __forceinline__ float widened(unsigned short bits) {
    const unsigned rest = bits & 0x7fff, normal = (rest << 13) + (112u << 23);
    const float small = (float)(int)rest * 5.9604644775390625e-08f;  // 2^-24, the least of float16
    const float size = rest < 0x400 ? small : __uint_as_float(normal);
    return bits & 0x8000 ? -size : size;
}

// The first neuron from `from` on that belongs to this thread.
__device__ __forceinline__ integer first_own(const Own &own, integer from) {
    if (from < own.first) from = own.first;
    return from + (threadIdx.x + blockDim.x - (from - own.first) % blockDim.x) % blockDim.x;
}

// As `deliver_dense`, where each copy hears its own neurons.
template <class real, class kept>
__device__ void deliver_own(
    const integer *projection, const integer *group, const Own &own, real *reals, const kept *weight,
    const Arrival *picked, int many) {
    for (int k = 0; k < many; k++) {
        const integer pre = projection[P_PRE], first = picked[k].neuron / pre * projection[P_EACH];
        const integer end = first + projection[P_EACH] < own.end ? first + projection[P_EACH] : own.end;
        const kept *row = weight + picked[k].neuron % pre * projection[P_STRIDE];
        for (integer n = first_own(own, first); n < end; n += blockDim.x)
            *cell_of(reals, group, projection[P_ROW], n) += (real)widened(row[n - first]) * (real)picked[k].value;
    }
}

template <class real, class kept>
__device__ void deliver_dense(
    const integer *projection, const integer *group, const Own &own, real *reals, const kept *weight,
    const Arrival *picked, int many) {
    if (projection[P_ALL] > projection[P_PRE])
        return deliver_own(projection, group, own, reals, weight, picked, many);
    for (integer n = own.first + threadIdx.x; n < own.end; n += blockDim.x) {
        real *cell = cell_of(reals, group, projection[P_ROW], n);
        real sum = *cell;
        const kept *row = weight + n % projection[P_EACH];
        for (int k = 0; k < many; k++)
            sum += (real)widened(row[picked[k].neuron * projection[P_STRIDE]]) * (real)picked[k].value;
        *cell = sum;
    }
}

template <class real, class kept>
__device__ void deliver_one_to_one(
    const integer *projection, const integer *group, const Own &own, real *reals, const kept *weight,
    const Arrival *picked, int many) {
    const integer pre = projection[P_PRE];
    const bool own_ones = projection[P_ALL] > pre;
    for (int k = 0; k < many; k++) {
        const integer row = picked[k].neuron % pre, copies = projection[P_COPIES];
        const integer begin = own_ones ? picked[k].neuron / pre : 0, end = own_ones ? begin + 1 : copies;
        for (integer copy = begin; copy < end; copy++) {
            const integer n = copy * projection[P_EACH] + row;
            if (n >= own.first && n < own.end && (n - own.first) % blockDim.x == threadIdx.x)
                *cell_of(reals, group, projection[P_ROW], n) +=
                    (real)widened(weight[row * projection[P_STRIDE]]) * (real)picked[k].value;
        }
    }
}

// The first of the synapses `begin` to before `end`, whose targets ascend, that goes to `target` or beyond.
__device__ __forceinline__ integer first_to(const int *post, integer begin, integer end, integer target) {
    while (begin < end) {
        const integer middle = begin + (end - begin) / 2;
        if (post[middle] < target) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

// Finds, for each arrival, its synapses to the block's neurons of one copy; returns how many there are of all.
__device__ int find_synapses(
    const Net &net, const integer *projection, const Own &own, integer copy, int many, Shared &shared) {
    const int *post = net.post + projection[P_POST];
    const integer pre = projection[P_PRE], each = projection[P_EACH];
    const bool own_ones = projection[P_ALL] > pre;
    const integer low = own.first - copy * each, high = own.end - copy * each;
    for (int k = threadIdx.x; k < many; k += blockDim.x) {
        const Arrival arrival = shared.picked[k];
        integer begin = 0, end = 0;
        if (!own_ones || arrival.neuron / pre == copy) {
            const integer *row = net.start + projection[P_START] + arrival.delay * pre + arrival.neuron % pre;
            begin = low > 0 ? first_to(post, row[0], row[1], low) : row[0];
            end = high < each ? first_to(post, begin, row[1], high) : row[1];
        }
        shared.begin[k] = begin;
        shared.ahead[k] = (int)(end - begin);
    }
    for (int by = 1; by < many; by *= 2) {
        for (int first = (many - 1) / (int)blockDim.x * (int)blockDim.x; first >= 0; first -= blockDim.x) {
            const int k = first + threadIdx.x;
            __syncthreads();  // I: what lies further on has been added to
            const int more = k < many && k >= by ? shared.ahead[k - by] : 0;
            __syncthreads();  // J: what is about to be added to is read
            if (k < many) shared.ahead[k] += more;
        }
    }
    __syncthreads();  // K: the counts are sums
    return shared.ahead[many - 1];
}

// Lays out up to PICKS synapses from the `done`th on, each with its target and what it adds: of an arrival after the
// other, whichever thread does it.
template <class real, class kept>
__device__ int lay_out(
    const Net &net, const integer *projection, const kept *weight, int done, int all, int many, Shared &shared) {
    const int count = all - done < PICKS ? all - done : PICKS;
    for (int p = threadIdx.x; p < count; p += blockDim.x) {
        int low = 0, high = many - 1;  // the first arrival with more than done + p synapses up to itself
        while (low < high) {
            const int middle = (low + high) / 2;
            if (shared.ahead[middle] > done + p) high = middle;
            else low = middle + 1;
        }
        const integer s = shared.begin[low] + done + p - (low > 0 ? shared.ahead[low - 1] : 0);
        shared.post[p] = net.post[projection[P_POST] + s];
        const real amount = (real)widened(weight[s * projection[P_STRIDE]]) * (real)shared.picked[low].value;
        shared.amount[p] = amount;
    }
    return count;
}

// Adds what was laid out; the first synapse to a neuron adds all others to it, in their order.
template <class real>
__device__ void add_up(
    const integer *projection, const integer *group, real *reals, integer copy, int count, const Shared &shared) {
    for (int p = threadIdx.x; p < count; p += blockDim.x) {
        const int target = shared.post[p];
        int before = 0;
        while (before < p && shared.post[before] != target) before++;
        if (before < p) continue;
        real *cell = cell_of(reals, group, projection[P_ROW], copy * projection[P_EACH] + target);
        real sum = *cell;
        for (int q = p; q < count; q++)
            if (shared.post[q] == target) sum += (real)shared.amount[q];
        *cell = sum;
    }
}

template <class real, class kept>
__device__ void deliver_csr(
    const Net &net, const integer *projection, const integer *group, const Own &own, real *reals, const kept *weight,
    int many, Shared &shared) {
    const integer each = projection[P_EACH];
    for (integer copy = own.first / each; copy * each < own.end && many > 0; copy++) {
        const int all = find_synapses(net, projection, own, copy, many, shared);
        for (int done = 0; done < all; done += PICKS) {
            const int count = lay_out<real>(net, projection, weight, done, all, many, shared);
            __syncthreads();  // L: they are laid out
            add_up(projection, group, reals, copy, count, shared);
            __syncthreads();  // M: they are added
        }
        __syncthreads();  // N: the counts are free again
    }
}

// ---- columns of CSR, where much acts in one tick

// Whether as much acts as makes columns the shorter way. What is held acts at every tick.
__device__ bool is_dense(const Net &net, const integer *projection, const integer *way, const integer *cursor) {
    if (way[X_COLUMN] < 0) return false;
    if (projection[P_HELD] >= 0) return projection[P_ALL] * projection[P_DELAYS] >= way[X_DENSE];
    integer events = 0;
    for (integer d = 0; d < projection[P_DELAYS]; d++) events += cursor[2 * d + 1] - cursor[2 * d];
    return events >= way[X_DENSE] && projection[P_ALL] * projection[P_DELAYS] <= PICKS * (integer)sizeof(Found) * 8;
}

// Sets a bit for each source that acts, delays outermost; before they are cleared again, there is barrier D. False where
// one acts twice, or what acts carries values: then rows are the way.
__device__ bool mark_sources(const Net &net, const integer *projection, integer *cursor, Shared &shared) {
    const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    if (source[S_VALUE] >= 0) return false;
    unsigned *bits = (unsigned *)shared.found;
    const integer words = (projection[P_ALL] * projection[P_DELAYS] + 31) / 32;
    for (integer w = threadIdx.x; w < words; w += blockDim.x) bits[w] = 0;
    if (threadIdx.x == 0) shared.twice = 0;
    __syncthreads();  // X: no bit is set
    const Team team = team_of_threads();
    for (integer d = team.place; d < projection[P_DELAYS]; d += team.teams) {
        for (integer event = cursor[2 * d] + team.lane; event < cursor[2 * d + 1]; event += team.width) {
            const integer place = d * projection[P_ALL] + net.index[source[S_OFFSET] + event];
            const unsigned bit = 1u << place % 32;
            if (atomicOr(&bits[place / 32], bit) & bit) atomicOr(&shared.twice, 1);
        }
    }
    __syncthreads();  // Y: all are set
    if (shared.twice) return false;
    for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) cursor[2 * d] = cursor[2 * d + 1];
    return true;
}

// Each neuron goes through all its synapses, in the order that rows would bring them, and adds those that act.
template <class real, class kept>
__device__ void walk_columns(
    const Net &net, const integer *projection, const integer *group, const Own &own, real *reals, const kept *weight,
    const integer *column, const Shared &shared) {
    const unsigned *bits = (const unsigned *)shared.found;
    const integer each = projection[P_EACH], pre = projection[P_PRE], stride = projection[P_STRIDE];
    const double *held = net.held + projection[P_HELD];
    for (integer n = own.first + threadIdx.x; n < own.end; n += blockDim.x) {
        const integer end = column[n % each + 1], base = projection[P_ALL] > pre ? n / each * pre : 0;
        real &cell = *cell_of(reals, group, projection[P_ROW], n), sum = cell;
        for (integer k = column[n % each]; k < end; k++) {
            const integer place = (column[k] >> 32) + base;
            const bool acts = projection[P_HELD] >= 0 ? held[place] != 0 : bits[place / 32] >> place % 32 & 1;
            if (!acts) continue;
            const real value = projection[P_HELD] >= 0 ? (real)held[place] : (real)1;
            sum += (real)widened(weight[(column[k] & 0xffffffff) * stride]) * value;
        }
        cell = sum;
    }
}

// Adds up what acts through a projection on some of the block's neurons; says whether anything did. All blocks take part
// in what they wait for each other, whatever they own.
template <class real, class kept>
__device__ __noinline__ bool deliver(
    const Net &net, integer number, real *reals, const kept *weights, integer tick, const Own &own, Shared &shared) {
    const integer *projection = row_of(net, H_PROJECTION, PROJECTION, number);
    const integer *group = row_of(net, H_GROUP, GROUP, projection[P_TARGET]);
    const kept *weight = weights + projection[P_WEIGHT];
    integer *cursor = cursors_of(net, number), from = 0;
    if (projection[P_STATE] >= 0) meet(net);  // 4: the state that acts stands still
    else if (projection[P_HELD] >= 0) hold_samples(net, projection, tick, cursor);
    else if (own.first < own.end) look_ahead(net, projection, tick, cursor);
    bool more = own.first < own.end, came = false;
    const integer *way = way_of(net, number);
    if (more && is_dense(net, projection, way, cursor)) {
        more = projection[P_HELD] < 0 && !mark_sources(net, projection, cursor, shared);
        came = !more;
        if (came) walk_columns(net, projection, group, own, reals, weight, net.column + way[X_COLUMN], shared);
    }
    while (more) {
        const int many = pick(net, projection, group, reals, cursor, from, more, shared);
        const Arrival *picked = shared.picked;
        came = came || many > 0;
        if (projection[P_KIND] == DENSE) deliver_dense(projection, group, own, reals, weight, picked, many);
        if (projection[P_KIND] == ONE_TO_ONE) deliver_one_to_one(projection, group, own, reals, weight, picked, many);
        if (projection[P_KIND] == CSR) deliver_csr(net, projection, group, own, reals, weight, many, shared);
        __syncthreads();  // O: `picked` is free again
    }
    if (projection[P_STATE] >= 0) meet(net);  // 5: every block knows what acts
    if (projection[P_INTO] < 0 || !came) return came;
    for (integer n = own.first + threadIdx.x; n < own.end; n += blockDim.x) {
        real *spare = cell_of(reals, group, projection[P_ROW], n);
        *cell_of(reals, group, projection[P_INTO], n) += *spare;
        *spare = 0;
    }
    return came;
}
