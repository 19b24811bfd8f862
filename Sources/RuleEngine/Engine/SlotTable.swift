import CEL

/// Rows of slots in one block of memory: `width` slots a row. Owns one reference to whatever its slots point to.
final class SlotTable {
    let width: Int
    private(set) var base: UnsafeMutablePointer<Slot>
    private var capacity: Int
    private(set) var rows = 0

    init(width: Int) {
        self.width = width
        capacity = 4
        base = .allocate(capacity: max(1, capacity * width))
    }

    deinit {
        for index in 0..<rows * width { base[index].release() }
        base.deallocate()
    }

    @inline(__always) func row(_ number: Int32) -> UnsafeMutablePointer<Slot> { base + Int(number) * width }

    /// Makes sure that the row is there; new ones are all missing.
    func reach(_ number: Int32) {
        guard Int(number) >= rows else { return }
        let needed = Int(number) + 1
        if needed > capacity {
            let larger = max(needed, capacity + capacity / 2)
            let moved = UnsafeMutablePointer<Slot>.allocate(capacity: max(1, larger * width))
            moved.moveInitialize(from: base, count: rows * width)
            base.deallocate()
            base = moved
            capacity = larger
        }
        (base + rows * width).initialize(repeating: .missing, count: (needed - rows) * width)
        rows = needed
    }

    func clear(_ number: Int32) {
        for index in 0..<width {
            row(number)[index].release()
            row(number)[index] = .missing
        }
    }
}

/// Numbers by a pair of numbers: open addressing, for looking up the alert of a rule and a subject.
struct PairTable {
    private var keys: [UInt64]
    private var values: [Int32]
    private(set) var count = 0
    private var used = 0
    private static let empty = UInt64.max
    private static let gone = UInt64.max - 1

    init() {
        keys = [UInt64](repeating: Self.empty, count: 16)
        values = [Int32](repeating: -1, count: 16)
    }

    private static func key(_ rule: Int32, _ subject: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: rule)) << 32 | UInt64(UInt32(bitPattern: subject))
    }

    @inline(__always)
    private func start(_ key: UInt64) -> Int { Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> 32) & (keys.count - 1) }

    /// The value, or -1.
    @inline(__always)
    subscript(rule: Int32, subject: Int32) -> Int32 {
        let key = Self.key(rule, subject)
        var at = start(key)
        while keys[at] != Self.empty {
            if keys[at] == key { return values[at] }
            at = (at + 1) & (keys.count - 1)
        }
        return -1
    }

    mutating func insert(_ rule: Int32, _ subject: Int32, _ value: Int32) {
        if (used + 1) * 4 > keys.count * 3 { grow() }
        let key = Self.key(rule, subject)
        var at = start(key)
        while keys[at] != Self.empty, keys[at] != Self.gone { at = (at + 1) & (keys.count - 1) }
        if keys[at] == Self.empty { used += 1 }
        keys[at] = key
        values[at] = value
        count += 1
    }

    mutating func remove(_ rule: Int32, _ subject: Int32) {
        let key = Self.key(rule, subject)
        var at = start(key)
        while keys[at] != Self.empty {
            if keys[at] == key {
                keys[at] = Self.gone
                count -= 1
                return
            }
            at = (at + 1) & (keys.count - 1)
        }
    }

    private mutating func grow() {
        let old = zip(keys, values).filter { $0.0 < Self.gone }
        var size = 16
        while size < (count + 1) * 2 { size *= 2 }
        keys = [UInt64](repeating: Self.empty, count: size)
        values = [Int32](repeating: -1, count: size)
        (count, used) = (0, 0)
        for (key, value) in old { insert(Int32(bitPattern: UInt32(key >> 32)), Int32(bitPattern: UInt32(truncatingIfNeeded: key)), value) }
    }
}
