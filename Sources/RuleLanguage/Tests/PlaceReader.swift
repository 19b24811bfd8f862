import CEL
import RuleEngine

/// Places in test files, in the form of the configuration: `location: {latitude:, longitude:}`, `zones: {home: {latitude:, longitude:, radius:}}`.
extension FileReading {
    func place(_ node: YAMLNode, _ key: String) -> GeoPoint? {
        guard let mapping = MappingReader(node, subject: "'\(key)'", keys: ["latitude", "longitude"].map { KnownKey($0) }, in: self) else {
            return nil
        }
        return place(mapping)
    }

    private func place(_ mapping: MappingReader) -> GeoPoint? {
        guard let latitude = mapping.required("latitude"), let longitude = mapping.required("longitude"),
            let north = degrees(latitude, "latitude", upTo: 90), let east = degrees(longitude, "longitude", upTo: 180)
        else { return nil }
        return GeoPoint(latitude: north, longitude: east)
    }

    private func degrees(_ node: YAMLNode, _ key: String, upTo bound: Double) -> Double? {
        guard let number = document(node).number, number.magnitude <= bound else {
            report("wrong-type", "'\(key)' must be a number from -\(Int(bound)) to \(Int(bound))", at: node.range)
            return nil
        }
        return number
    }

    func surroundings(_ mapping: MappingReader) -> Surroundings {
        var found = Surroundings()
        if let node = mapping["time_zone"], let name = name(node, "time_zone") {
            if let zone = NamedZone(name) {
                found.timeZone = zone
            } else {
                report("time-zone", "there is no time zone '\(name)'", at: node.range)
            }
        }
        found.location = mapping["location"].flatMap { place($0, "location") }
        for entry in mapping["zones"].flatMap({ entries($0, "zones") }) ?? [] {
            guard
                let zone = MappingReader(
                    entry.value, subject: "a zone", keys: ["latitude", "longitude", "radius"].map { KnownKey($0) }, in: self),
                let radius = zone.required("radius"), let centre = place(zone)
            else { continue }
            guard let metres = document(radius).number, metres > 0 else {
                report("wrong-type", "'radius' must be a number of metres above 0", at: radius.range)
                continue
            }
            found.zones[entry.key] = Surroundings.Zone(centre: centre, radius: metres)
        }
        return found
    }
}
