import CEL

extension Environment {
    /// `distance(latitude, longitude, latitude, longitude)` in metres.
    mutating func addDistance() {
        add(
            Function(
                "distance", .global, [.dyn, .dyn, .dyn, .dyn], .double,
                body: { (arguments) throws(FunctionFailure) in
                    let from = try Self.place(arguments[0], arguments[1])
                    return .double(from.distance(to: try Self.place(arguments[2], arguments[3])))
                }))
    }

    private static func place(_ latitude: Value, _ longitude: Value) throws(FunctionFailure) -> GeoPoint {
        guard let latitude = degrees(latitude), let longitude = degrees(longitude) else {
            throw FunctionFailure("'distance' takes latitude, longitude, latitude, longitude as numbers")
        }
        guard let place = GeoPoint(latitude: latitude, longitude: longitude) else {
            throw FunctionFailure("there is no place at latitude \(latitude.shortest), longitude \(longitude.shortest)")
        }
        return place
    }

    private static func degrees(_ value: Value) -> Double? {
        switch value {
        case .double(let value): value
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        default: nil
        }
    }

    /// `in_zone('home', latitude, longitude)`: the distance to the zone's centre compared with its radius.
    func adding(zones: [String: Surroundings.Zone]) -> Environment {
        var environment = self
        environment.add(
            Macro("in_zone", argumentCount: 3) { (call, span) throws(MacroFailure) in
                let zone = try Self.zone(call.arguments[0], among: zones)
                func number(_ value: Double) -> Expression.Node { Expression.Node(.literal(.double(value)), span: call.arguments[0].span) }
                var distance = call
                distance.name = "distance"
                distance.arguments = Array(call.arguments[1...]) + [number(zone.centre.latitude), number(zone.centre.longitude)]
                let node = Expression.Node(.call(distance), span: span)
                return Expression.Node(.binary(.lessOrEqual, node, number(zone.radius)), span: span)
            })
        return environment
    }

    private static func zone(_ argument: Expression.Node, among zones: [String: Surroundings.Zone]) throws(MacroFailure)
        -> Surroundings.Zone
    {
        guard case .literal(.string(let name)) = argument.kind else {
            throw MacroFailure([
                CELDiagnostic(span: argument.span, code: "unknown-zone", message: "'in_zone' takes the name of a zone in quotes")
            ])
        }
        if let zone = zones[name] { return zone }
        let known = zones.keys.sorted()
        let note = known.isEmpty ? "the configuration has no 'zones'" : "known zones: \(known.joined(separator: ", "))"
        throw MacroFailure([
            CELDiagnostic(
                span: argument.span, code: "unknown-zone", message: "there is no zone '\(name)' in the configuration",
                hint: nearestName(to: name, in: known).map { "did you mean '\($0)'?" }, notes: [.init(span: argument.span, text: note)])
        ])
    }
}
