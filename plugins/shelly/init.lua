-- https://shelly-api-docs.shelly.cloud/gen1/#mqtt-support and https://shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Mqtt
--
-- First generation (shellies/ID/…): the levels behind the id, joined, are the field: relay_0, relay_0_power, sensor_temperature.
-- 'on' and 'off' are bools; 'overpower' is off, and relay_0_overpower is true.
-- Later ones: `params` of NotifyStatus and NotifyFullStatus, a component a member (switch_0.output), and its `ts` is the time; a component's
-- own status topic; the first of NotifyEvent's events. Commands and calls are no readings.

local words = { on = true, off = false, ["true"] = true, ["false"] = false }

local function first_generation(levels, bytes)
  local last = levels[#levels]
  if last == "command" or levels[2] == "command" or last == "set" then return nil end
  local value = payload.value(bytes)
  if type(value) == "table" and value[1] == nil then return names.identifiers(value) end
  local field = names.identifier(table.concat(levels, "_", levels[1] == "shellies" and 3 or 2))
  if value == "overpower" then return { [field] = false, [field .. "_overpower"] = true } end
  if words[value] ~= nil then value = words[value] end
  return { [field] = value }
end

local function notification(message)
  local params = message.params
  if type(params) ~= "table" then return nil end
  local time = timestamp.of_number(params.ts)
  if message.method == "NotifyEvent" then
    local event = type(params.events) == "table" and params.events[1]
    if type(event) ~= "table" then return nil end
    return names.identifiers(event), timestamp.of_number(event.ts) or time
  end
  if message.method ~= "NotifyStatus" and message.method ~= "NotifyFullStatus" then return nil end
  params.ts = nil
  return names.identifiers(params), time
end

local function decode(topic, bytes)
  local levels = topics.levels(topic)
  if levels[1] == "shellies" then return first_generation(levels, bytes) end
  local count = #levels
  local last, before = levels[count], levels[count - 1]
  if before == "events" and last == "rpc" then return notification(payload.object(bytes)) end
  if last == "rpc" or before == "rpc" or before == "command" then return nil end
  if before == "status" then
    local value = payload.value(bytes)
    return { [names.identifier(last)] = names.identifiers(value) }
  end
  if last == "online" then return { online = payload.value(bytes) == true } end
  local value = payload.value(bytes)
  if type(value) == "table" and value[1] == nil then return names.identifiers(value) end
  return { [names.identifier(last)] = value }
end

plugin { decoders = { shelly = decode } }
