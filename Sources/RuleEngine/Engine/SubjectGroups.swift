/// Subjects of a source by some of the values of their keys. A subject is put in and taken out in a time that does not grow with its group.
final class SubjectGroups {
    /// Which values, by their places in the key.
    let keyPlaces: [Int]
    private let keys = ByteTable()
    /// By group: its first subject.
    private var first: [Int32] = []
    /// By subject; -1: none.
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var groups: [Int32] = []
    private var scratch: [UInt8] = []

    init(keyPlaces: [Int]) { self.keyPlaces = keyPlaces }

    /// The values of a whole key that tell its group, in the form of a key.
    func withGroupKey<Result>(of key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        scratch.removeAll(keepingCapacity: true)
        for (number, place) in keyPlaces.enumerated() {
            if number > 0 { scratch.append(0) }
            var left = place
            for byte in key {
                if byte == 0 {
                    if left == 0 { break }
                    left -= 1
                } else if left == 0 {
                    scratch.append(byte)
                }
            }
        }
        return scratch.withUnsafeBytes(body)
    }

    func add(_ subject: Int32, of key: UnsafeRawBufferPointer) {
        while groups.count <= Int(subject) {
            groups.append(-1)
            next.append(-1)
            previous.append(-1)
        }
        let group = withGroupKey(of: key) { self.group(of: $0) }
        let head = first[Int(group)]
        groups[Int(subject)] = group
        next[Int(subject)] = head
        previous[Int(subject)] = -1
        if head >= 0 { previous[Int(head)] = subject }
        first[Int(group)] = subject
    }

    private func group(of key: UnsafeRawBufferPointer) -> Int32 {
        let known = keys.find(key)
        if known >= 0 { return known }
        let number = keys.insert(key)
        while first.count <= Int(number) { first.append(-1) }
        first[Int(number)] = -1
        return number
    }

    func remove(_ subject: Int32) {
        let group = groups[Int(subject)], before = previous[Int(subject)], after = next[Int(subject)]
        if after >= 0 { previous[Int(after)] = before }
        if before >= 0 { next[Int(before)] = after } else { first[Int(group)] = after }
        groups[Int(subject)] = -1
        if first[Int(group)] < 0 { keys.remove(group) }
    }

    func contains(_ key: UnsafeRawBufferPointer) -> Bool { keys.find(key) >= 0 }

    /// In no order that means anything.
    func forEach(in key: UnsafeRawBufferPointer, _ body: (Int32) -> Void) {
        let group = keys.find(key)
        guard group >= 0 else { return }
        var subject = first[Int(group)]
        while subject >= 0 {
            body(subject)
            subject = next[Int(subject)]
        }
    }
}
