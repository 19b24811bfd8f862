import Testing

@testable import RuleEngine

/// The tables that the engine keeps its state in.
@Suite struct TableTests {
    @Test func `What is kept for each instance stays small`() {
        #expect(MemoryLayout<ActiveAlert>.stride == 64)
        #expect(MemoryLayout<Timer>.stride == 24)
        #expect(MemoryLayout<SourceState.Subject>.stride == 24)
        #expect(MemoryLayout<TopicRoute>.stride == 24)
    }

    @Test func `Keys that differ in a few bytes begin at places all over an index`() {
        var starts = Set<Int>()
        for number in 0..<1000 {
            let hash = Array("s\(number % 100)\u{0}f\(number)".utf8).withUnsafeBytes { ByteTable.hash($0) }
            starts.insert(ByteTable.start(hash, in: 1500))
        }
        // Of random places about 1500 * (1 - exp(-1000 / 1500)) = 730 would be different.
        #expect(starts.count > 650)
        #expect(starts.allSatisfy { (0..<1500).contains($0) })
    }

    @Test(arguments: [0, 1, 7, 8, 9, 15, 16, 17, 40])
    func `Keys are told apart by every byte, whatever their length`(length: Int) {
        let table = ByteTable()
        func find(_ key: [UInt8]) -> Int32 { key.withUnsafeBytes { table.find($0) } }
        let key = (0..<length).map { UInt8($0 + 1) }
        let number = key.withUnsafeBytes { table.insert($0) }
        #expect(find(key) == number)
        for place in key.indices {
            var other = key
            other[place] ^= 0x80
            #expect(find(other) == -1)
        }
        #expect(find(key + [0]) == -1)
    }

    @Test func `A table of keys does what a dictionary does`() {
        var generator = SeededGenerator(state: 7)
        let table = ByteTable()
        var expected: [String: Int32] = [:]
        for _ in 0..<20_000 {
            let key = "k\(Int.random(in: 0..<3000, using: &generator))"
            let known = Array(key.utf8).withUnsafeBytes { table.find($0) }
            #expect(known == expected[key] ?? -1)
            if known < 0 {
                expected[key] = Array(key.utf8).withUnsafeBytes { table.insert($0) }
            } else if Bool.random(using: &generator) {
                table.remove(known)
                expected[key] = nil
            } else {
                #expect(table.string(known) == key)
            }
        }
        #expect(table.count == expected.count)
        #expect(Set(table.numbers) == Set(expected.values))
    }

    @Test func `A table of alerts finds those that are there by rule and subject`() {
        var generator = SeededGenerator(state: 11)
        let table = AlertTable()
        var expected: [[Int32]: Int32] = [:]
        for step in 0..<20_000 {
            let rule = Int32.random(in: 0..<30, using: &generator), subject = Int32.random(in: 0..<100, using: &generator)
            let number = table[rule, subject]
            #expect(number == expected[[rule, subject]] ?? -1)
            if number < 0 {
                let alert = ActiveAlert(
                    rule: rule, subject: subject, lifecycle: AlertLifecycle(), activeAt: Instant(nanoseconds: Int64(step)), ordinal: 0)
                expected[[rule, subject]] = table.insert(alert)
            } else {
                #expect(table[Int(number)].rule == rule && table[Int(number)].subject == subject)
                table.remove(number)
                expected[[rule, subject]] = nil
            }
        }
        #expect(Set(table.numbers) == Set(expected.values))
    }

    @Test func `An alert that was copied keeps what it had when the other goes on`() {
        var alert = ActiveAlert(rule: 0, subject: 0, lifecycle: AlertLifecycle(levels: 2), activeAt: .distantPast, ordinal: 0)
        alert.labels = FixedLabels(["a": "b"])
        let copy = alert
        alert.firedAt = Instant(nanoseconds: 5)
        alert.lifecycle.setTrueSince(1, Instant(nanoseconds: 6))
        #expect(copy.firedAt == .distantPast && copy.lifecycle.trueSince(1) == nil)
        #expect(alert.firedAt == Instant(nanoseconds: 5) && alert.labels?.values == ["a": "b"])
        alert.lifecycle.recoveringSince = Instant(nanoseconds: 7)
        #expect(alert.lifecycle.levelCount == 2 && alert.lifecycle.recoveringSince == Instant(nanoseconds: 7))
        alert.lifecycle.recoveringSince = nil
        #expect(alert.lifecycle.trueSince(1) == Instant(nanoseconds: 6))
    }
}
