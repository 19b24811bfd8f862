/// Elements in one block of memory of its own, for what every reading looks at: reached without counting references and without checks of
/// exclusive access.
///
/// Why that is safe: elements are bitwise copyable, so that to copy or to drop one is all there is to it; the block is freed with the table, and who
/// reaches into the table holds it; the engine that owns it has one owner at a time; nobody keeps a pointer into it across a call that lets it
/// grow. Indexes are numbers that the engine gave out, which debug builds check.
final class FlatTable<Element: BitwiseCopyable> {
    private(set) var base: UnsafeMutablePointer<Element>
    private(set) var count = 0
    private var capacity: Int

    init() {
        capacity = 4
        base = .allocate(capacity: capacity)
    }

    convenience init(_ elements: some Collection<Element>) {
        self.init()
        replaceAll(with: elements)
    }

    deinit { base.deallocate() }

    @inline(__always) var isEmpty: Bool { count == 0 }
    @inline(__always) var indices: Range<Int> { 0..<count }
    @inline(__always) var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count * MemoryLayout<Element>.stride) }

    @inline(__always)
    subscript(index: Int) -> Element {
        get {
            assert(index >= 0 && index < count)
            return base[index]
        }
        _modify {
            assert(index >= 0 && index < count)
            yield &base[index]
        }
    }

    @inline(__always)
    func append(_ element: Element) {
        if count == capacity { grow(to: count + 1) }
        (base + count).initialize(to: element)
        count += 1
    }

    func append(contentsOf elements: UnsafeBufferPointer<Element>) {
        if count + elements.count > capacity { grow(to: count + elements.count) }
        if let first = elements.baseAddress { (base + count).initialize(from: first, count: elements.count) }
        count += elements.count
    }

    /// Appends until there are so many.
    func extend(to needed: Int, with element: Element) {
        guard needed > count else { return }
        if needed > capacity { grow(to: needed) }
        (base + count).initialize(repeating: element, count: needed - count)
        count = needed
    }

    /// The elements that it has from now on; no more memory than they need.
    func replaceAll(with elements: some Collection<Element>) {
        base.deallocate()
        capacity = max(4, elements.count)
        base = .allocate(capacity: capacity)
        count = 0
        for element in elements { append(element) }
    }

    func replaceAll(repeating element: Element, count needed: Int) {
        base.deallocate()
        capacity = max(4, needed)
        base = .allocate(capacity: capacity)
        base.initialize(repeating: element, count: needed)
        count = needed
    }

    func popLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        return base[count]
    }

    /// Empties it and keeps its memory.
    @inline(__always) func clear() { count = 0 }

    /// By a quarter at a time: it takes five copies of an element in the long run, and at most a quarter of the memory is idle.
    @inline(never)
    private func grow(to needed: Int) {
        capacity = max(needed, capacity + max(4, capacity / 4))
        let moved = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        moved.initialize(from: base, count: count)
        base.deallocate()
        base = moved
    }
}
