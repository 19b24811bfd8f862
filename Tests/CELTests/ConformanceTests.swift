import CEL
import Testing

/// The official tests of the language (google/cel-spec) and those of its extensions (google/cel-go), see `Conformance/`.
@Suite struct ConformanceTests {
    @Test(arguments: ["cel-conformance.jsonl", "cel-supplement-conformance.jsonl"])
    func `every conformance test passes in strict mode`(file: String) throws {
        let evaluator = BatchEvaluator(arithmetic: .strict)
        var passed = 0
        for line in try Fixture.lines("Conformance/\(file)") {
            let test = try #require(Value(json: line), "not JSON: \(line)")
            guard test["needs_proto"]?.isTrue != true, test["check_only"]?.isTrue != true else { continue }
            let answer = try #require(Value(json: evaluator.answer(line)))
            let expected = try #require(test["expect"])
            if expected["error"] != nil {
                #expect(answer["error"] != nil, "\(line)\nanswered \(answer)")
            } else if let value = expected["value"] {
                let isSame = answer["value"].map { isSameTyped($0, value) } ?? false
                #expect(isSame, "\(line)\nanswered \(answer)")
            }
            passed += 1
        }
        #expect(passed > 100)
    }
}

/// Whether two values in the typed encoding are the same: tags too, NaN like NaN, maps without order.
private func isSameTyped(_ a: Value, _ b: Value) -> Bool {
    guard case .map(let left) = a, case .map(let right) = b, left.count == 1, right.count == 1, let x = left.pairs.first,
        let y = right.pairs.first, x.key.isEqual(to: y.key), case .string(let tag) = x.key
    else { return false }
    switch (tag, x.value, y.value) {
    case ("double", .string(let p), .string(let q)): return Double(p)?.description == Double(q)?.description
    case ("list", .list(let p), .list(let q)): return p.count == q.count && zip(p, q).allSatisfy { isSameTyped($0, $1) }
    case ("map", .list(let p), .list(let q)):
        return p.count == q.count
            && p.allSatisfy { entry in
                q.contains { other in
                    guard case .list(let e) = entry, case .list(let f) = other, e.count == 2, f.count == 2 else { return false }
                    return isSameTyped(e[0], f[0]) && isSameTyped(e[1], f[1])
                }
            }
    default: return x.value.isEqual(to: y.value)
    }
}

extension Value {
    subscript(name: String) -> Value? {
        guard case .map(let map) = self else { return nil }
        return map[name]
    }

    var isTrue: Bool { if case .bool(let flag) = self { flag } else { false } }
}
