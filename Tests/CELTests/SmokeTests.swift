import CEL
import Testing

private struct Names: NameResolver {
    var slots: [String: Int] = ["temperature": 0, "humidity": 1, "origin": 2, "on": 3]

    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
        guard case .name(let name) = path[0], let slot = slots[name] else { return .unknown(nearest: nil, known: slots.keys.sorted()) }
        return .slot(slot, consumed: 1)
    }
}

@Test(arguments: [
    ("temperature > 30.0 && humidity < 40.0", true), ("temperature > 32.0 || on", true), ("origin == 'MOW' && !on", false),
    ("temperature * 9 / 5 + 32 > 87.0", true), ("[1, 2, 3].exists(x, x > 2)", true),
])
func `a compiled condition is evaluated over slots`(source: String, expected: Bool) throws {
    let environment = Environment(arithmetic: .promoting, extensions: .all, limits: Limits(), container: "")
    let expression = try #require(environment.parse(source).expression)
    let strings = InternedStrings()
    var names = Names()
    let program = try #require(environment.compile(expression, names: &names, strings: strings, expecting: .bool).program)
    let slots = [Slot(31.0), Slot(39.0), Slot(interned: strings.intern("MOW")), Slot(true)]
    #expect(program.truth(slots) == (expected ? .yes : .no))
}
