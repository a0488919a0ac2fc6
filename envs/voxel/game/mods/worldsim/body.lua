-- How a body of 0.6 x 1.8 blocks walks, falls and climbs one block by itself, a twentieth of a
-- second at a time. State goes in and out; a block fills half a unit around its whole coordinates.
local HALF, TALL = 0.3, 1.8
local PACE, JUMP, GRAVITY, DRAG = 0.2158, 0.42, 0.08, 0.98
local EDGE = 1e-7 -- bodies that touch do not overlap

local function solid(x, y, z)
	local node = core.get_node({x = x, y = y, z = z})
	local definition = core.registered_nodes[node.name]
	return node.name == "ignore" or definition.walkable
end

local function free(x, y, z)
	for bx = math.floor(x - HALF + EDGE + 0.5), math.floor(x + HALF - EDGE + 0.5) do
		for by = math.floor(y + EDGE + 0.5), math.floor(y + TALL - EDGE + 0.5) do
			for bz = math.floor(z - HALF + EDGE + 0.5), math.floor(z + HALF - EDGE + 0.5) do
				if solid(bx, by, bz) then
					return false
				end
			end
		end
	end
	return true
end

-- Where a face that moves from `face` by less than a block stops at the next block's border.
local function border(face, way)
	if way > 0 then
		return math.floor(face + way + 0.5) - 0.5
	end
	return math.floor(face + way + 0.5) + 0.5
end

-- body: x, y, z (of the feet), fall (blocks a tick, up is positive), grounded. yaw in radians,
-- 0 along +z, counter-clockwise; stride from 0 to 1, a share of PACE. Changes the body.
return function(body, yaw, stride)
	local dx, dz = 0, 0
	if stride > 0 then
		dx, dz = -math.sin(yaw) * PACE * stride, math.cos(yaw) * PACE * stride
	end
	local blocked = not free(body.x + dx, body.y, body.z + dz)
	if blocked and body.grounded and free(body.x, body.y + 1, body.z)
			and free(body.x + dx, body.y + 1, body.z + dz) then
		body.fall = JUMP
	end
	local dy = body.fall
	if free(body.x, body.y + dy, body.z) then
		body.y, body.grounded = body.y + dy, false
	elseif dy > 0 then
		body.y, body.fall, body.grounded = border(body.y + TALL, dy) - TALL, 0, false
	else
		body.y, body.fall, body.grounded = border(body.y, dy), 0, true
	end
	if free(body.x + dx, body.y, body.z) then
		body.x = body.x + dx
	else
		body.x = border(body.x + (dx > 0 and HALF or -HALF), dx) + (dx > 0 and -HALF or HALF)
	end
	if free(body.x, body.y, body.z + dz) then
		body.z = body.z + dz
	else
		body.z = border(body.z + (dz > 0 and HALF or -HALF), dz) + (dz > 0 and -HALF or HALF)
	end
	body.fall = (body.fall - GRAVITY) * DRAG
end
