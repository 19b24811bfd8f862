import RuleEngine
import Synchronization

/// Devices and profiles as they were last seen, and what is effective of them: a profile's defaults under the device's own configuration.
final class Directory: Sendable {
    private struct State {
        var devices: [String: DeviceRecord] = [:]
        var profiles: [String: ProfileRecord] = [:]
    }
    private let state = Mutex(State())

    /// Takes changes in; gives the devices that they concern, with what is effective now, nil for those that are gone.
    func apply(_ changes: [DirectoryChange]) -> [(id: String, device: DeviceRecord?, effective: Document)] {
        state.withLock { state in
            var concerned: [String] = []
            for change in changes {
                switch change {
                case .device(let id, let device):
                    guard state.devices[id] != device else { continue }
                    state.devices[id] = device
                    concerned.append(id)
                case .profile(let name, let profile):
                    guard state.profiles[name] != profile else { continue }
                    state.profiles[name] = profile
                    concerned += state.devices.values.filter { $0.profile == name }.map(\.id).sorted()
                }
            }
            var seen = Set<String>()
            return concerned.filter { seen.insert($0).inserted }.map { id in
                (id, state.devices[id], state.devices[id].map { Self.effective($0, state.profiles) } ?? .emptyObject)
            }
        }
    }

    private static func effective(_ device: DeviceRecord, _ profiles: [String: ProfileRecord]) -> Document {
        (device.profile.flatMap { profiles[$0]?.config } ?? .emptyObject).overlaid(by: device.config)
    }
}
