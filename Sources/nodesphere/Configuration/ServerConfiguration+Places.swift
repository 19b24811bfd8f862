import CEL
import Foundation
import RuleEngine

/// `time_zone`, `location` and `zones`: where the server is; and what its windows hold.
extension ServerConfiguration {
    mutating func readSurroundings(_ failure: inout Failure) {
        // What is no whole number above 0 has been told.
        if let samples = self["windows.max_samples"].flatMap({ Int($0) }), samples > 0 {
            if (256...100_000_000).contains(samples) {
                surroundings.windowSamples = samples
            } else {
                failure.messages.append("'windows.max_samples' must be from 256 to 100000000, not \(samples)")
            }
        }
        let zoneName = self["time_zone"] ?? TimeZone.current.identifier
        if let zone = NamedZone(zoneName) {
            surroundings.timeZone = zone
        } else if self["time_zone"] != nil {
            failure.messages.append("'time_zone' must be a name such as Europe/Oslo or UTC, not '\(zoneName)'")
        }
        let latitude = self["location.latitude"].flatMap(Double.init), longitude = self["location.longitude"].flatMap(Double.init)
        if let latitude, let longitude {
            surroundings.location = GeoPoint(latitude: latitude, longitude: longitude)
        } else if (latitude == nil) != (longitude == nil) {
            failure.messages.append("'location' needs both latitude and longitude")
        }
        for name in names(in: "zones") {
            func number(_ member: String) -> Double? { self["zones.\(name).\(member)"].flatMap(Double.init) }
            guard let latitude = number("latitude"), let longitude = number("longitude"), let radius = number("radius"), radius > 0,
                let centre = GeoPoint(latitude: latitude, longitude: longitude)
            else {
                failure.messages.append("'zones.\(name)' must be {latitude, longitude, radius}: degrees, and metres above 0")
                continue
            }
            surroundings.zones[name] = Surroundings.Zone(centre: centre, radius: radius)
        }
    }
}
