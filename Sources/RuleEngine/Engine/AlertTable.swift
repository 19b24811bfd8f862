/// The alerts of a shard that are not inactive, by number, and their numbers by rule and subject.
///
/// Safe for the reasons given at `FlatTable`, except that its elements hold references: places that are free hold an alert too, which refers to
/// nothing, so that every place below `count` can be read, replaced and given up.
final class AlertTable {
    private var base: UnsafeMutablePointer<ActiveAlert>
    private var capacity = 4
    /// Places, the free ones among them.
    private(set) var count = 0
    private let free = FlatTable<Int32>()
    /// Numbers by hash of rule and subject; -1 is empty, -2 once held one. Between 4/7 and 4/5 of it is used.
    private let index = FlatTable<Int32>()
    private var used = 0

    init() {
        base = .allocate(capacity: capacity)
        index.replaceAll(repeating: -1, count: 16)
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    @inline(__always)
    subscript(number: Int) -> ActiveAlert {
        get {
            assert(number >= 0 && number < count)
            return base[number]
        }
        _modify {
            assert(number >= 0 && number < count)
            yield &base[number]
        }
    }

    /// The number of the alert of a rule and a subject, or -1.
    @inline(__always)
    subscript(rule: Int32, subject: Int32) -> Int32 {
        let size = index.count
        var at = ByteTable.start(Self.hash(rule, subject), in: size)
        while case let number = index[at], number != -1 {
            if number >= 0, base[Int(number)].rule == rule, base[Int(number)].subject == subject { return number }
            at += 1
            if at == size { at = 0 }
        }
        return -1
    }

    /// Numbers of the alerts that there are, rising.
    var numbers: [Int32] { (0..<count).lazy.filter { self.base[$0].rule >= 0 }.map { Int32($0) } }

    /// Takes in the alert of a rule and a subject that have none.
    func insert(_ alert: ActiveAlert) -> Int32 {
        if (used + 1) * 5 > index.count * 4 { rebuild() }
        let number: Int32
        if let reused = free.popLast() {
            number = reused
            base[Int(number)] = alert
        } else {
            if count == capacity { grow() }
            number = Int32(count)
            (base + count).initialize(to: alert)
            count += 1
        }
        place(number)
        return number
    }

    func remove(_ number: Int32) {
        var at = ByteTable.start(Self.hash(base[Int(number)].rule, base[Int(number)].subject), in: index.count)
        while index[at] != number { at = at + 1 == index.count ? 0 : at + 1 }
        index[at] = -2
        base[Int(number)] = .none
        free.append(number)
    }

    @inline(__always)
    private static func hash(_ rule: Int32, _ subject: Int32) -> UInt32 {
        let key = UInt64(UInt32(bitPattern: rule)) << 32 | UInt64(UInt32(bitPattern: subject))
        let product = (key ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
        return UInt32(truncatingIfNeeded: product.high ^ product.low)
    }

    private func place(_ number: Int32) {
        var at = ByteTable.start(Self.hash(base[Int(number)].rule, base[Int(number)].subject), in: index.count)
        while index[at] >= 0 { at = at + 1 == index.count ? 0 : at + 1 }
        if index[at] == -1 { used += 1 }
        index[at] = number
    }

    private func rebuild() {
        index.replaceAll(repeating: -1, count: (count - free.count) * 7 / 4 + 16)
        used = 0
        for number in numbers { place(number) }
    }

    private func grow() {
        capacity += max(4, capacity / 4)
        let moved = UnsafeMutablePointer<ActiveAlert>.allocate(capacity: capacity)
        moved.moveInitialize(from: base, count: count)
        base.deallocate()
        base = moved
    }
}
