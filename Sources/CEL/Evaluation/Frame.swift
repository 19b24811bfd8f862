/// What one evaluation works on: the caller's slots, the variables of comprehensions, and what is left of the limits.
struct Frame {
    let slots: UnsafePointer<Slot>
    let locals: UnsafeMutablePointer<Local>
    /// Unmanaged, as the trace is: a frame is copied and passed around without counting references. The program holds the table, and who
    /// explains holds the trace, for as long as the frame lives.
    private let table: Unmanaged<InternedStrings>
    private(set) var steps: Int
    private(set) var memory: Int
    /// Set while an evaluation is explained.
    var trace: Unmanaged<Trace>?

    init(slots: UnsafePointer<Slot>, locals: UnsafeMutablePointer<Local>, strings: Unmanaged<InternedStrings>, steps: Int, memory: Int) {
        self.slots = slots
        self.locals = locals
        table = strings
        self.steps = steps
        self.memory = memory
    }

    var strings: InternedStrings { table.takeUnretainedValue() }

    /// Takes steps from the budget of the evaluation.
    @inline(__always)
    mutating func charge(_ count: Int, _ span: Span) throws(Fault) {
        steps &-= count
        if steps < 0 {
            steps = 0
            throw Fault(.limit, span, "the expression takes too many steps")
        }
    }

    /// Takes bytes that a new value needs from the budget of the evaluation.
    @inline(__always)
    mutating func allocate(_ bytes: Int, _ span: Span) throws(Fault) {
        let (rest, isOver) = memory.subtractingReportingOverflow(bytes)
        if isOver || rest < 0 {
            memory = 0
            throw Fault(.limit, span, "the expression's values take too much memory")
        }
        memory = rest
    }

    /// Takes the steps it costs to read a long string or bytes: to hash a key, to compare.
    @inline(__always)
    mutating func chargeKey(_ value: Value, _ span: Span) throws(Fault) {
        switch value {
        case .string(let text): if text.utf8.count > 256 { try charge(text.utf8.count / 32, span) }
        case .bytes(let octets): if octets.count > 256 { try charge(octets.count / 32, span) }
        default: break
        }
    }

    /// CEL's `==`, its work charged.
    mutating func areEqual(_ left: Value, _ right: Value, _ span: Span) throws(Fault) -> Bool {
        switch (left, right) {
        case (.list(let a), .list(let b)):
            guard a.count == b.count else { return false }
            for index in a.indices {
                try charge(1, span)
                if try !areEqual(a[index], b[index], span) { return false }
            }
            return true
        case (.map(let a), .map(let b)):
            guard a.count == b.count else { return false }
            for position in 0..<a.count {
                let entry = a.storage.entry(position)
                try charge(2, span)
                guard let value = b[entry.key] else { return false }
                if try !areEqual(value, entry.value, span) { return false }
            }
            return true
        case (.optional(let a), .optional(let b)):
            guard let left = a.wrapped, let right = b.wrapped else { return a.wrapped == nil && b.wrapped == nil }
            try charge(1, span)
            return try areEqual(left, right, span)
        case (.string(let a), .string(let b)):
            if a.utf8.count > 256 { try charge(a.utf8.count / 32, span) }
            return a.hasSameBytes(as: b)
        case (.bytes(let a), .bytes(let b)):
            if a.count > 256 { try charge(a.count / 32, span) }
            return a == b
        default: return left.isEqual(to: right)
        }
    }
}

/// A variable of a comprehension or a binding. It points to a value that outlives the body it is bound in: an element of a list, or a
/// temporary of the comprehension.
struct Local: BitwiseCopyable {
    let pointer: UnsafePointer<Value>?
    /// The value's storage when it is a map: selecting its fields counts no references.
    let map: Unmanaged<CELMap.Storage>?

    static var unbound: Local { Local(pointer: nil, map: nil) }

    private init(pointer: UnsafePointer<Value>?, map: Unmanaged<CELMap.Storage>?) {
        self.pointer = pointer
        self.map = map
    }

    @inline(__always)
    init(_ pointer: UnsafePointer<Value>) {
        self.pointer = pointer
        map = if case .map(let map) = pointer.pointee { Unmanaged.passUnretained(map.storage) } else { nil }
    }
}

/// The bytes a list or map of that many elements is charged with.
func listBytes(_ count: Int) -> Int { 32 &+ count &* MemoryLayout<Value>.stride }
func mapBytes(_ count: Int) -> Int { 64 &+ count &* MemoryLayout<CELMap.Entry>.stride }
