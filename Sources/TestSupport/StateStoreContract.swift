public import RuleEngine

/// A store of its own, empty.
public struct StateStoreBench: Sendable {
    /// The store. A second call stands for a restart: whoever was opened before has been let go of.
    public var open: @Sendable () async throws -> any StateStore

    public init(open: @escaping @Sendable () async throws -> any StateStore) { self.open = open }
}

/// One sentence of the contract of `StateStore` and how it is shown. It wants a bench of its own.
public struct StateStoreClause: Sendable, CustomStringConvertible {
    public var description: String
    public var check: @Sendable (StateStoreBench) async throws -> Void
}

/// The contract of `StateStore`, for the tests of each adapter.
public enum StateStoreContract {
    public static let clauses = contentClauses + writeClauses + durabilityClauses
}

// MARK: - What is kept

extension StateStoreContract {
    static let contentClauses: [StateStoreClause] = [
        StateStoreClause(description: "every kind of value comes back as it was") { bench in
            let store = try await bench.open()
            for (index, value) in oddValues.enumerated() {
                let document = Document.object([.init("value", value), .init("list", [value, value])])
                try await store.commit([StateWrite(.variables, id: "v\(index)", document)])
                let found = try await store.documents(in: .variables).first { $0.id == "v\(index)" }
                try expect(isSame(found?.document, document), "\(document) came back as \(String(describing: found?.document))")
            }
        },
        StateStoreClause(description: "a document need not be an object") { bench in
            let store = try await bench.open()
            try await store.commit(oddValues.enumerated().map { StateWrite(.variables, id: "v\($0 + 100)", $1) })
            let found = try await store.documents(in: .variables)
            try expect(found.count == oddValues.count, "\(found.count) of \(oddValues.count)")
            for (found, value) in zip(found, oddValues) { try expect(isSame(found.document, value), "\(value) came as \(found)") }
        },
        StateStoreClause(description: "members keep their order, whatever their names") { bench in
            let store = try await bench.open()
            let names = ["z", "a", "_id", "", "a.b", "ü", "u\u{308}", "id", "document", "with space", "\"", "A"]
            let document = Document.object(names.enumerated().map { .init($1, .int(Int64($0))) })
            try await store.commit([StateWrite(.alerts, id: "order", document), StateWrite(.alerts, id: "deep", ["in": document])])
            let found = try await store.documents(in: .alerts)
            try expect(isSame(found.last?.document, document), "\(found)")
            try expect(isSame(found.first?.document, ["in": document]), "\(found)")
        },
        StateStoreClause(description: "ids are any text and come in the order of their bytes") { bench in
            let store = try await bench.open()
            let ids = [
                "", " ", "a", "A", "a\u{0}b", "a\u{0}c", "é", "e\u{301}", "日本", "😀", "$set", "a.b", "/", "%", "'; DROP TABLE alerts; --",
                String(repeating: "k", count: 900),
            ]
            try await store.commit(ids.map { StateWrite(.alerts, id: $0, ["id": .string($0)]) })
            let found = try await store.documents(in: .alerts).map { Array($0.id.utf8) }
            let sorted = ids.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
            try expect(found == sorted, "\(found.map { String(decoding: $0, as: UTF8.self) })")
        },
        StateStoreClause(description: "a document of nearly 4 MiB is kept, a larger one refused") { bench in
            let store = try await bench.open()
            let large = Document.object([.init("text", .string(String(repeating: "x", count: 4 << 20 - 1000)))])
            try await store.commit([StateWrite(.alerts, id: "large", large)])
            try await expectRefusal {
                try await store.commit([StateWrite(.alerts, id: "larger", ["text": .string(String(repeating: "x", count: 5 << 20))])])
            }
            let found = try await store.documents(in: .alerts)
            try expect(found.map(\.id) == ["large"] && found[0].document == large, "\(found.map(\.id))")
        },
        StateStoreClause(description: "nesting is kept to a depth, and refused beyond") { bench in
            let store = try await bench.open()
            func nested(_ levels: Int) -> Document { (0..<levels).reduce(.int(1)) { inner, _ in .object([.init("in", inner)]) } }
            try await store.commit([StateWrite(.alerts, id: "deep", nested(60))])
            try await expectRefusal { try await store.commit([StateWrite(.alerts, id: "deeper", nested(1000))]) }
            let found = try await store.documents(in: .alerts)
            try expect(found == [StoredDocument(id: "deep", document: nested(60))], "\(found.map(\.id))")
        },
        StateStoreClause(description: "collections do not mix") { bench in
            let store = try await bench.open()
            try await store.commit(StateCollection.allCases.map { StateWrite($0, id: "same", ["of": .string($0.rawValue)]) })
            try await store.commit([StateWrite(.silences, id: "same", nil)])
            for collection in StateCollection.allCases {
                let found = try await store.documents(in: collection)
                let wanted = collection == .silences ? [] : [StoredDocument(id: "same", document: ["of": .string(collection.rawValue)])]
                try expect(found == wanted, "\(collection): \(found)")
            }
        },
        StateStoreClause(description: "thousands of documents come whole and in order") { bench in
            let store = try await bench.open()
            let writes = (0..<3000).map { StateWrite(.alerts, id: "id-\(10_000 + $0 * 7919 % 3000)", ["n": .int(Int64($0))]) }
            try await store.commit(writes)
            let found = try await store.documents(in: .alerts)
            try expect(found.map(\.id) == writes.map(\.id).sorted(), "\(found.count) came")
        },
    ]

    static let oddValues: [Document] = [
        .null, true, false, 0, 1, -1, .int(.max), .int(.min), .int(1 << 31), .int(-1 << 31), .int((1 << 53) + 1), 0.5, 1.0, .double(-0.0),
        .double(.nan), .double(.infinity), .double(-.infinity), .double(.leastNonzeroMagnitude), .double(.greatestFiniteMagnitude),
        "", "text", "nul\u{0}inside", "\u{FFFD}\u{10FFFF}", "e\u{301}", "2026-01-01T00:00:00.000Z",
        .instant(Instant(milliseconds: 0)), .instant(Instant(milliseconds: -1)), .instant(Instant(milliseconds: 1_790_000_000_123)),
        [], [[]], [.null, [1, "a", [true]]], .emptyObject, ["in": .emptyObject], ["a": ["b": [["c": .instant(Instant(milliseconds: 5))]]]],
    ]
}

// MARK: - Writing

extension StateStoreContract {
    static let writeClauses: [StateStoreClause] = [
        StateStoreClause(description: "of several writes to one document in a commit the last wins") { bench in
            let store = try await bench.open()
            try await store.commit([
                StateWrite(.alerts, id: "a", ["n": 1]), StateWrite(.alerts, id: "b", ["n": 1]), StateWrite(.alerts, id: "a", ["n": 2]),
                StateWrite(.alerts, id: "b", nil), StateWrite(.alerts, id: "c", nil), StateWrite(.alerts, id: "c", ["n": 3]),
                StateWrite(.silences, id: "a", ["n": 4]),
            ])
            let found = try await store.documents(in: .alerts)
            try expect(found == [StoredDocument(id: "a", document: ["n": 2]), StoredDocument(id: "c", document: ["n": 3])], "\(found)")
        },
        StateStoreClause(description: "commits that follow each other are applied in order") { bench in
            let store = try await bench.open()
            for n in 0..<50 {
                let document: Document? = n % 7 == 6 ? Optional.none : ["n": .int(Int64(n))]
                try await store.commit([StateWrite(.alerts, id: "a", document)])
            }
            let found = try await store.documents(in: .alerts)
            try expect(found == [StoredDocument(id: "a", document: ["n": 49])], "\(found)")
        },
        StateStoreClause(description: "a document replaces the whole one before") { bench in
            let store = try await bench.open()
            try await store.commit([StateWrite(.alerts, id: "a", ["old": 1, "both": 1])])
            try await store.commit([StateWrite(.alerts, id: "a", ["both": 2])])
            let found = try await store.documents(in: .alerts)
            try expect(found == [StoredDocument(id: "a", document: ["both": 2])], "\(found)")
        },
        StateStoreClause(description: "writing the same again and removing what is not there change nothing") { bench in
            let store = try await bench.open()
            let writes = [StateWrite(.alerts, id: "a", ["n": 1]), StateWrite(.alerts, id: "none", nil)]
            for _ in 0..<3 { try await store.commit(writes) }
            try await store.commit([])
            let found = try await store.documents(in: .alerts)
            try expect(found == [StoredDocument(id: "a", document: ["n": 1])], "\(found)")
        },
        StateStoreClause(description: "commits at the same time all arrive, each caller's in order") { bench in
            let store = try await bench.open()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<40 {
                    group.addTask {
                        for n in 0..<10 {
                            try await store.commit([
                                StateWrite(.alerts, id: "last-\(caller)", ["n": .int(Int64(n))]),
                                StateWrite(.notificationGroups, id: "\(caller)-\(n)", ["n": .int(Int64(n))]),
                            ])
                        }
                    }
                }
                try await group.waitForAll()
            }
            let last = try await store.documents(in: .alerts)
            try expect(last.count == 40 && last.allSatisfy { $0.document == ["n": 9] }, "\(last)")
            let all = try await store.documents(in: .notificationGroups)
            try expect(all.count == 400, "\(all.count) of 400")
        },
        StateStoreClause(description: "a refused commit does not harm those at the same time") { bench in
            let store = try await bench.open()
            let tooLarge = Document.object([.init("text", .string(String(repeating: "x", count: 5 << 20)))])
            let refused = try await withThrowingTaskGroup(of: Int.self) { group in
                for n in 0..<20 {
                    group.addTask {
                        do {
                            try await store.commit([StateWrite(.alerts, id: "\(100 + n)", n == 7 ? tooLarge : ["n": .int(Int64(n))])])
                            return 0
                        } catch StoreFailure.refused {
                            return 1
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            try expect(refused == 1, "\(refused) were refused")
            let found = try await store.documents(in: .alerts)
            try expect(found.count == 19, "\(found.count) of 19")
        },
    ]
}

// MARK: - Lasting

extension StateStoreContract {
    static let durabilityClauses: [StateStoreClause] = [
        StateStoreClause(description: "what was committed is there after a restart") { bench in
            let first = try await bench.open()
            try await first.commit([StateWrite(.alerts, id: "kept", ["n": 1]), StateWrite(.alerts, id: "gone", ["n": 1])])
            try await first.commit([StateWrite(.alerts, id: "gone", nil), StateWrite(.server, id: "x", "y")])
            let second = try await bench.open()
            let alerts = try await second.documents(in: .alerts)
            let server = try await second.documents(in: .server)
            try expect(alerts == [StoredDocument(id: "kept", document: ["n": 1])], "\(alerts)")
            try expect(server == [StoredDocument(id: "x", document: "y")], "\(server)")
        },
        StateStoreClause(description: "a store at work is ready") { bench in
            let store = try await bench.open()
            try await store.commit([StateWrite(.alerts, id: "a", ["n": 1])])
            let reason = await store.unreadyReason()
            try expect(reason == nil, reason ?? "")
        },
    ]
}

// MARK: - Tools of the clauses

/// Like `==`, with NaN equal to itself, zeros told apart and text compared by its bytes.
func isSame(_ left: Document?, _ right: Document?) -> Bool {
    switch (left, right) {
    case (nil, nil): true
    case (.double(let left), .double(let right)): left.bitPattern == right.bitPattern || left.isNaN && right.isNaN
    case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
    case (.array(let left), .array(let right)): left.count == right.count && zip(left, right).allSatisfy { isSame($0, $1) }
    case (.object(let left), .object(let right)):
        left.count == right.count && zip(left, right).allSatisfy { $0.name.utf8.elementsEqual($1.name.utf8) && isSame($0.value, $1.value) }
    default: left == right
    }
}

func expectRefusal(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch StoreFailure.refused(let reason) {
        try expect(!reason.isEmpty, "the refusal says nothing")
        return
    }
    throw ContractViolation("it was not refused")
}
