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
